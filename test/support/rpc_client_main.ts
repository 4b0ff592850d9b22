/** Calls an agent: the argument is the path of its socket, or its URL. */
import { createClient } from "@connectrpc/connect";
import { Network } from "../../src/gen/stellar/services/network/v1/network_pb.ts";
import { createRpcTransport } from "../../src/api/client/client.ts";

const [target = ""] = Deno.args;
const client = createClient(
  Network,
  createRpcTransport(
    target.startsWith("/") ? { socketPath: target } : { url: target },
  ),
);
try {
  await client.info({});
  const { id } = await client.info({});
  const doneAt = performance.now();
  addEventListener("unload", () => {
    const idleMs = performance.now() - doneAt;
    console.log(JSON.stringify({ answer: id, idleMs }));
  });
} catch (error) {
  console.log(JSON.stringify({ error: (error as Error).message }));
}
