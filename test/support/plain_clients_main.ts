/**
 * A server in plain text at all addresses, and clients of it, in a namespace
 * with the addresses 198.18.0.1 and 198.18.0.2: writes what came of them.
 */
import { connectRaw, type RawClient } from "./raw_client.ts";
import { Network } from "../../src/gen/stellar/services/network/v1/network_pb.ts";
import { callerOf } from "../../src/api/access/call_context.ts";
import { createRpcServer } from "../../src/api/server/server.ts";
import { http1Call } from "./stub_network.ts";

const server = createRpcServer({
  limits: { maxConnectionsPerAddress: 3 },
  routes(router) {
    router.service(Network, {
      info(_, context) {
        const caller = callerOf(context);
        const address = "address" in caller ? caller.address : "";
        return { id: `${caller.kind} ${address}` };
      },
    });
  },
});

/** The identity of a client to the server; "closed" for one that it does not admit. */
async function ask(client: RawClient): Promise<string> {
  client.send(http1Call("Info"));
  try {
    await client.until(/"id":"[^"]*"/);
  } catch {
    return "closed";
  }
  return /"id":"([^"]*)"/.exec(client.received())![1]!;
}

const outcomes: Record<string, readonly string[]> = {};
for (const hostname of ["0.0.0.0", "::"]) {
  const { port } = await server.listenTcp({ hostname, port: 0 }, {
    isSecure: false,
    acceptsOthers: true,
  });
  for (const [from, count] of [["127.0.0.1", 5], ["198.18.0.1", 5]] as const) {
    const clients: RawClient[] = [];
    const answers: string[] = [];
    for (let i = 0; i < count; i++) {
      // A connection to an address of this host comes from that address.
      const client = await connectRaw({ hostname: from, port });
      clients.push(client);
      answers.push(await ask(client));
    }
    const other = await connectRaw({ hostname: "198.18.0.2", port });
    answers.push(await ask(other));
    for (const { socket } of [...clients, other]) socket.destroy();
    await Promise.all([...clients, other].map(({ closed }) => closed));
    outcomes[`${hostname} from ${from}`] = answers;
  }
}
await server.close({ graceMs: 0 });
console.log(JSON.stringify(outcomes));
