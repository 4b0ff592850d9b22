import assert from "node:assert/strict";
import type { Agent } from "../../src/agent/agent.ts";
import type { RegistryPeer } from "../../src/registry/peer.ts";
import { NetError } from "../../src/base/error.ts";
import { formatPrefix } from "../../src/net/prefix.ts";
import type { FakeRegistryPeer } from "../fake/fake_registry_peer.ts";
import { owner } from "../addresses/plan/pools.ts";
import { waitFor } from "../support/wait_for.ts";
import { allocate, held } from "../agent/agents.ts";
import { becomes, routes, withHost } from "./joined_hosts.ts";

/** How a node leaves: what is done first, whether it is forced, and what is left in the registry. */
const LEAVES: readonly [
  what: string,
  before: (t: {
    readonly peers: readonly FakeRegistryPeer[];
    readonly registry: Agent;
    readonly agent: Agent;
  }) => Promise<unknown>,
  options: {
    readonly force: boolean;
    readonly stays: boolean;
    readonly freed?: boolean;
  },
][] = [
  ["", () => Promise.resolve(), { force: false, stays: false }],
  [
    " by force while it holds addresses",
    ({ agent }) => allocate(agent, "c1", { node: "b" }),
    { force: true, stays: false },
  ],
  [" by force with no registry in reach", async ({ peers, agent }) => {
    for (const peer of peers) peer.cut();
    await becomes(agent, "unreachable");
  }, { force: true, stays: true, freed: false }],
  [" when it was removed already", async ({ peers, registry, agent }) => {
    for (const peer of peers) {
      peer.onCall = (call) => {
        if (call === "leave") return;
        throw new NetError("unavailable", "Cannot reach the agent");
      };
      peer.endWatches();
    }
    await becomes(agent, "unreachable");
    await registry.host!.pools.remove({
      ...{ node: "b", instanceId: "", force: true },
    });
  }, { force: false, stays: false, freed: false }],
];

for (const [what, before, { force, stays, freed = true }] of LEAVES) {
  Deno.test(`JoinedMember.leave()${what} gives everything up, and a restart begins anew`, () =>
    withHost(async ({ registry, peers, host }) => {
      const { agent } = host;
      await becomes(agent, "joined");
      await before({ peers, registry: registry.agent, agent });
      const left = await agent.leave({ force });
      assert.deepEqual(
        left.map(formatPrefix),
        freed ? ["172.16.4.0/22"] : [],
      );
      assert.equal(agent.member.link.state, "left");
      assert.deepEqual([...agent.member.view.nodes.keys()], []);
      assert.deepEqual(routes(agent), []);
      await assert.rejects(allocate(agent, "c1", { node: "b" }), {
        code: "failed_precondition",
        message:
          /node "b": this node has left the cluster since .*; start the agent again/,
      });
      assert.deepEqual(await agent.leave({ force: false }), []);
      assert.equal(host.lefts, 1);
      const nodes = await registry.agent.host!.nodes.list();
      assert.equal(nodes.some(({ name }) => name === "b"), stays);
      for (const peer of peers) {
        peer.onCall = () => {};
        peer.mend();
      }
      const next = await host.restart();
      await becomes(next, "joined");
      assert.equal(peers[0].joins.at(-1)!.clusterId, "");
      assert.deepEqual(peers[0].joins.at(-1)!.heldSubnets, []);
      assert.deepEqual(await held(next, "b"), {});
      assert.equal(await allocate(next, "c9", { node: "b" }), "172.16.4.2");
    }));
}

Deno.test("JoinedMember.leave() changes nothing where it is refused", () =>
  withHost(async ({ peers, host: { agent } }) => {
    await becomes(agent, "joined");
    await allocate(agent, "c1", { node: "b" });
    await assert.rejects(agent.leave({ force: false }), {
      code: "failed_precondition",
      message: /1 address is held on node "b"/,
    });
    await agent.addresses.release("b", { owner: owner("c1"), reason: "test" });
    for (const peer of peers) peer.cut();
    await assert.rejects(agent.leave({ force: false }), {
      code: "unavailable",
    });
    assert.equal(await allocate(agent, "c2", { node: "b" }), "172.16.4.3");
    for (const peer of peers) peer.mend();
    await becomes(agent, "joined");
  }));

Deno.test("announceLeave() asks the registry that was reached last first", () =>
  withHost(async ({ peers: [x, y], host: { agent } }) => {
    await becomes(agent, "joined");
    x.cut();
    await waitFor("the other", () => agent.member.link.url === "http://y");
    const asked: string[] = [];
    const note = ({ url }: RegistryPeer) => (call: string) => {
      if (call === "leave") asked.push(url);
    };
    x.mend();
    x.onCall = note(x);
    y.onCall = note(y);
    await agent.leave({ force: false });
    assert.deepEqual(asked, ["http://y"]);
  }));
