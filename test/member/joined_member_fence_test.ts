import assert from "node:assert/strict";
import type { Agent } from "../../src/agent/agent.ts";
import { formatPrefix, parsePrefix } from "../../src/net/prefix.ts";
import { owner } from "../addresses/plan/pools.ts";
import { allocate, held } from "../agent/agents.ts";
import { becomes, FACTS, withHost } from "./joined_hosts.ts";

/** Takes a host's subnet while it is out of reach: how, and what it is told then. */
const FENCES: readonly [
  what: string,
  take: (registry: Agent) => Promise<unknown>,
  says: RegExp,
][] = [
  [
    "it is reserved for another",
    ({ host }) =>
      host!.registry.reserve({
        ...{ subnet: parsePrefix("172.16.4.0/22"), node: "c", reason: "" },
      }),
    /172\.16\.4\.0\/22: it is reserved now/,
  ],
  [
    "it belongs to another",
    async ({ host }) => {
      const subnet = parsePrefix("172.16.4.0/22");
      await host!.registry.reserve({ subnet, node: "c", reason: "" });
      await host!.registry.claim("c");
    },
    /172\.16\.4\.0\/22: it belongs to node "c" now/,
  ],
  [
    "another host has its name",
    ({ host }) =>
      host!.pools.join({
        ...{ node: "b", instanceId: "another", ...FACTS },
        ...{ heldSubnets: [], clusterId: "" },
      }),
    /another host with that name is known/,
  ],
];

for (const [what, take, says] of FENCES) {
  Deno.test(`JoinedMember is fenced when ${what}, and stays so after a restart with no registry`, () =>
    withHost(async ({ registry, peers, host }) => {
      await becomes(host.agent, "joined");
      await allocate(host.agent, "c1", { node: "b" });
      await allocate(host.agent, "c2", { node: "b" });
      for (const peer of peers) peer.cut();
      await becomes(host.agent, "unreachable");
      const { pools } = registry.agent.host!;
      await pools.remove({ node: "b", instanceId: "", force: true });
      await take(registry.agent);
      for (const peer of peers) peer.mend();
      await becomes(host.agent, "fenced");
      await assertFenced(host.agent, says);
      for (const peer of peers) peer.cut();
      const agent = await host.restart();
      await assertFenced(agent, says);
      await agent.addresses.release("b", {
        owner: owner("c1"),
        reason: "test",
      });
      assert.deepEqual(await held(agent, "b"), { c2: "172.16.4.3" });
    }));
}

/** Checks that a node hands out nothing, not even what it gave before, and says why. */
async function assertFenced(agent: Agent, says: RegExp): Promise<void> {
  assert.equal(agent.member.link.state, "fenced");
  assert.match(agent.member.link.problem, says);
  for (const id of ["c2", "new"]) {
    await assert.rejects(allocate(agent, id, { node: "b" }), {
      code: "failed_precondition",
      message: says,
    });
  }
  await assert.rejects(agent.checkReady("b"), { code: "failed_precondition" });
}

Deno.test("JoinedMember is fenced no more when its subnet is free again", () =>
  withHost(async ({ registry, peers, host }) => {
    await becomes(host.agent, "joined");
    for (const peer of peers) peer.cut();
    await becomes(host.agent, "unreachable");
    const { pools, registry: record } = registry.agent.host!;
    await pools.remove({ node: "b", instanceId: "", force: true });
    const subnet = parsePrefix("172.16.4.0/22");
    await record.reserve({ subnet, node: "c", reason: "" });
    for (const peer of peers) peer.mend();
    await becomes(host.agent, "fenced");
    await record.unreserve(subnet);
    const agent = await host.restart();
    await becomes(agent, "joined");
    assert.equal(await allocate(agent, "c1", { node: "b" }), "172.16.4.2");
    for (const peer of peers) peer.cut();
    const last = await host.restart();
    assert.equal(last.member.link.state, "unreachable");
    assert.equal(await allocate(last, "c2", { node: "b" }), "172.16.4.3");
  }));

Deno.test("JoinedMember.leave() by force gives a fenced node a new subnet after a restart", () =>
  withHost(async ({ registry, peers, host }) => {
    await becomes(host.agent, "joined");
    await allocate(host.agent, "c1", { node: "b" });
    for (const peer of peers) peer.cut();
    await becomes(host.agent, "unreachable");
    const { pools, registry: record } = registry.agent.host!;
    await pools.remove({ node: "b", instanceId: "", force: true });
    const subnet = parsePrefix("172.16.4.0/22");
    await record.reserve({ subnet, node: "c", reason: "" });
    await record.claim("c");
    for (const peer of peers) peer.mend();
    await becomes(host.agent, "fenced");
    await host.agent.leave({ force: true });
    const agent = await host.restart();
    await becomes(agent, "joined");
    assert.equal(await allocate(agent, "c1", { node: "b" }), "172.16.8.2");
    assert.equal(
      (await record.subnetsOf("c")).map(formatPrefix).join(" "),
      "172.16.4.0/22",
    );
  }));
