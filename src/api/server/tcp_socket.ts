import type { ListenAddress } from "../../config/config.ts";
import { type ErrorCode, NetError } from "../../base/error.ts";
import type { Listener } from "./listener.ts";

/** What keeps an agent from listening, by code of bind(2): its kind, and a way out with a flag. */
const OBSTACLES: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  EADDRINUSE: [
    "failed_precondition",
    "another process listens there; stop it, or name another port with FLAG",
  ],
  EADDRNOTAVAIL: [
    "failed_precondition",
    "no interface of this host has that address; name another with FLAG",
  ],
  EACCES: [
    "permission_denied",
    "no permission to take that port; run the agent as root, or name a port above 1023 with FLAG",
  ],
};

/**
 * Starts a listener on a TCP address. The answer has the port that was taken.
 *
 * @param options `flag`: the one that names the address, for messages
 * @throws {NetError} naming the address and what is in the way
 */
export async function listenOnTcp(
  listener: Listener,
  address: ListenAddress,
  options: { readonly flag: string },
): Promise<ListenAddress> {
  const { hostname, port } = address;
  try {
    const bound = await listener.listen({ host: hostname, port });
    return { hostname, port: (bound as { readonly port: number }).port };
  } catch (error) {
    listener.stop();
    const { code } = error as { readonly code?: string };
    // Deno 2.9.6 has EINVAL in place of EADDRNOTAVAIL.
    const [kind, what] = OBSTACLES[
      code === "EINVAL" ? "EADDRNOTAVAIL" : code ?? ""
    ] ??
      ["failed_precondition", (error as Error).message];
    throw new NetError(
      kind,
      `Cannot listen on ${formatAddress(address)}: ${
        what.replace("FLAG", options.flag)
      }`,
      { cause: error },
    );
  }
}

function formatAddress({ hostname, port }: ListenAddress): string {
  return hostname.includes(":")
    ? `"[${hostname}]:${port}"`
    : `"${hostname}:${port}"`;
}
