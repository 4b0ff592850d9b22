import assert from "node:assert/strict";
import type { HandlerContext } from "@connectrpc/connect";
import { createCluster } from "../../../src/api/services/cluster.ts";

type Options = Parameters<typeof createCluster>[0];

Deno.test("a caller has 32 calls open at most that may ask all hosts", async () => {
  const held = Promise.withResolvers<[]>();
  const list = () => held.promise;
  const { find, getOverview } = createCluster(
    { host: () => ({ nodes: { list } }) } as unknown as Options,
  );
  const contextOf = (name: string) => {
    const caller = { kind: "member", identity: { role: "node", name } };
    return { values: { get: () => caller } } as unknown as HandlerContext;
  };
  const calls = {
    find: (name: string) =>
      find({ what: "web", history: 0 } as never, contextOf(name)),
    overview: (name: string) => getOverview({} as never, contextOf(name)),
  };
  const running = Array.from(
    { length: 32 },
    (_, i) => calls[i % 2 === 0 ? "find" : "overview"]("a"),
  );
  for (const call of Object.values(calls)) {
    await assert.rejects(
      async () => await call("a"),
      /Cannot ask all hosts: node "a" has 32 such calls open/,
    );
  }
  // Another caller has calls of its own; it gets as far as to the registry.
  const other = calls.find("b");
  held.reject(new Error("no store"));
  for (const call of [...running, other]) {
    await assert.rejects(async () => await call, /no store/);
  }
});
