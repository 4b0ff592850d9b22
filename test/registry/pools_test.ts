import assert from "node:assert/strict";
import type { Agent } from "../../src/agent/agent.ts";
import { formatPrefix, parsePrefix } from "../../src/net/prefix.ts";
import { allocate, held, networks, startAgent } from "../agent/agents.ts";

/** Two subnets and no more. */
const TWO = { networks: networks(["10.0.0.0/24", 25]) };

/** Joins a host, as its agent does. */
async function join(
  { host }: Agent,
  node: string,
  heldSubnets: readonly string[] = [],
): Promise<string> {
  const { subnets } = await host!.pools.join({
    ...{ node, instanceId: `id-of-${node}` },
    ...{ advertised: [], apiUrl: "", localPrefixes: [], clusterId: "" },
    heldSubnets: heldSubnets.map((cidr) => parsePrefix(cidr)),
  });
  return subnets.map(formatPrefix).join(" ");
}

Deno.test("NodePools.join() takes hosts in that have subnets, where none is left for this node", async () => {
  await using t = await startAgent(TWO);
  await t.agent.host!.registry.claim("b");
  await t.agent.host!.registry.claim("c");
  assert.equal(await join(t.agent, "b"), "10.0.0.0/25");
  assert.equal(await join(t.agent, "b", ["10.0.0.0/25"]), "10.0.0.0/25");
  await assert.rejects(join(t.agent, "d"), { code: "exhausted" });
  await assert.rejects(allocate(t.agent, "c1"), { code: "exhausted" });
});

Deno.test("NodePools.join() keeps the first subnet for this node", async () => {
  await using t = await startAgent(TWO);
  assert.equal(await join(t.agent, "b"), "10.0.0.128/25");
  assert.equal(await allocate(t.agent, "c1"), "10.0.0.2");
});

Deno.test("NodePools.remove() leaves the node of the registry's host alone, by force too", async () => {
  await using t = await startAgent();
  const address = await allocate(t.agent, "c1");
  await t.agent.member.report({
    advertised: [],
    apiUrl: "",
    localPrefixes: [],
  });
  await assert.rejects(
    t.agent.host!.pools.remove({ node: "a", instanceId: "", force: true }),
    {
      code: "failed_precondition",
      message:
        'Cannot remove node "a": it hosts the registry; run "stellar-net node leave" there',
    },
  );
  assert.deepEqual(await held(t.agent), { c1: address });
  await t.agent.leave({ force: true });
  const nodes = await t.agent.host!.nodes.list();
  assert.deepEqual(nodes.map(({ name }) => name), []);
});

Deno.test("NodePools.remove() of a node with an agent drops the allocations that it has not taken over", async () => {
  await using t = await startAgent();
  const { pools, registry } = t.agent.host!;
  await registry.claim("b");
  await allocate(t.agent, "c1", { node: "b" });
  await join(t.agent, "b");
  await pools.remove({ node: "b", instanceId: "", force: true });
  assert.deepEqual(await Array.fromAsync(t.store.list(["ip", "b"])), []);
  await registry.claim("b");
  assert.deepEqual(await held(t.agent, "b"), {});
});
