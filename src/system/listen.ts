import type { ListenOptions, Server } from "node:net";
import { getLogger } from "@logtape/logtape";

const log = getLogger(["stellar-net", "rpc"]);

/**
 * Has a server listen. Afterwards it logs a connection that it cannot accept,
 * as when the process has no file descriptors left: without a listener that
 * error would end the process.
 *
 * @throws what the system says, such as EADDRINUSE
 */
export function listen(server: Server, options: ListenOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(options, () => {
      server.off("error", reject);
      server.on("error", (error) => {
        log.warn("Cannot accept a connection: {error}", { error });
      });
      resolve();
    });
  });
}
