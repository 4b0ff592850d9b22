/**
 * A server of a cluster in a process of its own, which others attack: it
 * writes a line of JSON (AttackedServer without `pid`) and serves until its
 * input ends. Its limits are the first argument, as JSON.
 */
import type { ConnectRouter } from "@connectrpc/connect";
import { AgentService } from "../../src/gen/stellar/net/v1/agent_pb.ts";
import { Network } from "../../src/gen/stellar/services/network/v1/network_pb.ts";
import { authorizing } from "../../src/api/access/authorize.ts";
import { withClusterServer } from "./cluster_tls.ts";

function routes(bare: ConnectRouter): void {
  authorizing(bare, { node: "host1", now: Date.now })
    .service(Network, {
      info: () => ({ id: "a" }),
      allocateIP: ({ id }) => ({ ip: id }),
    })
    .service(AgentService, {
      async *backup(_, { signal }) {
        while (!signal.aborted) yield { data: new Uint8Array(16 * 1024) };
      },
    });
}

const limits = JSON.parse(Deno.args[0]!);
await withClusterServer({ routes, limits }, async (running) => {
  const { server, port, authority, issue } = running;
  const plain = await server.listenTcp({ hostname: "127.0.0.1", port: 0 });
  const [member, good] = await Promise.all([
    issue({ name: "host2" }),
    issue({ name: "host3" }),
  ]);
  const { certificate: ca } = authority.record;
  console.log(JSON.stringify({
    ports: { tls: port, plain: plain.port },
    member: { cert: member.chain, key: member.key, ca },
    good: { cert: good.chain, key: good.key, ca },
  }));
  for await (const _ of Deno.stdin.readable);
});
