import assert from "node:assert/strict";
import { parseAddress } from "../../src/net/address.ts";
import { formatPrefix, parsePrefix } from "../../src/net/prefix.ts";
import { owner } from "../addresses/plan/pools.ts";
import { HeldTimers } from "../support/held_timers.ts";
import { collectLogs } from "../support/collect_logs.ts";
import { waitFor } from "../support/wait_for.ts";
import { FakeRegistryPeer } from "../fake/fake_registry_peer.ts";
import { findMembershipFault } from "../../src/member/link.ts";
import { allocate, held, startAgent } from "../agent/agents.ts";
import {
  becomes,
  FACTS,
  knows,
  routes,
  subnets,
  withHost,
} from "./joined_hosts.ts";

Deno.test("JoinedMember joins, hands out addresses of its subnet, and knows the cluster", () =>
  withHost(async ({ registry, host: { agent } }) => {
    await registry.agent.member.report({
      ...FACTS,
      advertised: [parseAddress("198.18.0.11")],
    });
    await becomes(agent, "joined");
    assert.equal(subnets(agent), "172.16.4.0/22");
    assert.equal(agent.member.link.url, "http://x");
    assert.equal(
      await allocate(agent, "c1", { node: "b" }),
      "172.16.4.2",
    );
    await waitFor("a route", () => routes(agent).length > 0);
    assert.deepEqual(routes(agent), [
      '172.16.0.0/22 via 198.18.0.11 (node "a")',
    ]);
  }));

Deno.test("JoinedMember hands out nothing before it has joined, and gives the reason", () =>
  withHost(async ({ peers, host }) => {
    await becomes(host.agent, "joined");
    for (const peer of peers) peer.cut();
    await using fresh = await startAgent({ node: "c", peers: [...peers] });
    fresh.agent.member.start(() => {});
    try {
      await waitFor(
        "a refusal",
        () => fresh.agent.member.link.problem.includes("Cannot reach"),
      );
      await assert.rejects(allocate(fresh.agent, "c1", { node: "c" }), {
        code: "unavailable",
        message:
          /node "c": the registry has been unreachable since .*: Cannot reach the agent at "http:\/\//,
      });
      await assert.rejects(fresh.agent.checkReady("c"), {
        code: "unavailable",
      });
      for (const peer of peers) peer.mend();
      await becomes(fresh.agent, "joined");
      assert.equal(
        await allocate(fresh.agent, "c1", { node: "c" }),
        "172.16.8.2",
      );
    } finally {
      await fresh.agent.member.stop();
    }
  }));

Deno.test("JoinedMember.contacted() waits for the first answer, and no longer than it may", () =>
  withHost(async ({ registry }) => {
    const peer = new FakeRegistryPeer(registry.agent);
    const answer = Promise.withResolvers<void>();
    peer.onCall = (call) => call === "join" ? answer.promise : undefined;
    await using fresh = await startAgent({ node: "c", peers: [peer] });
    const { member } = fresh.agent;
    const { signal } = new AbortController();
    const claim = () => allocate(fresh.agent, "c1", { node: "c" });
    {
      using timers = new HeldTimers(1_234);
      const early = member.contacted({ limitMs: 1_234, signal });
      await waitFor("the wait", () => timers.areHeld);
      timers.fire();
      await early;
      await assert.rejects(claim, { message: /it has not answered yet/ });
    }
    member.start(() => {});
    try {
      const waiting = member.contacted({ limitMs: 1e9, signal });
      await waitFor("the join", () => peer.calls.includes("join"));
      answer.resolve();
      await waiting;
      assert.equal(await claim(), "172.16.8.2");
      // At once, whatever the limit.
      await member.contacted({ limitMs: 1e9, signal });
    } finally {
      await member.stop();
    }
  }));

Deno.test("JoinedMember logs a cause once, and again after a join", () =>
  withHost(async ({ registry }) => {
    const peer = new FakeRegistryPeer(registry.agent);
    peer.cut();
    await using fresh = await startAgent({ node: "c", peers: [peer] });
    const lost = async (use: () => Promise<void>) =>
      (await collectLogs(use)).filter((line) =>
        line.startsWith("Cannot follow the registry")
      ).length;
    const joins = () => peer.calls.filter((call) => call === "join").length;
    try {
      const first = await lost(async () => {
        fresh.agent.member.start(() => {});
        await waitFor("three attempts", () => joins() >= 3);
      });
      assert.equal(first, 1);
      peer.mend();
      await becomes(fresh.agent, "joined");
      const again = await lost(async () => {
        peer.cut();
        await becomes(fresh.agent, "unreachable");
      });
      assert.equal(again, 1);
    } finally {
      await fresh.agent.member.stop();
    }
  }));

Deno.test("JoinedMember goes on with no registry in reach, after a restart too", () =>
  withHost(async ({ registry, peers, host }) => {
    const { registry: record, pools } = registry.agent.host!;
    await becomes(host.agent, "joined");
    await registry.agent.member.report({
      ...FACTS,
      advertised: [parseAddress("198.18.0.11")],
    });
    await record.claim("gone");
    await record.addRoute({
      destination: parsePrefix("10.9.0.0/16"),
      target: parseAddress("198.18.0.50"),
    });
    await allocate(host.agent, "c1", { node: "b" });
    await knows(host.agent, "gone");
    await waitFor("the routes", () => routes(host.agent).length === 2);
    for (const peer of peers) peer.cut();
    await becomes(host.agent, "unreachable");
    const { sinceMs, urls } = host.agent.member.link;
    assert.equal(sinceMs, host.test.clock.nowMs);
    assert.deepEqual(urls, ["http://x", "http://y"]);
    const wanted = routes(host.agent);
    assert.equal(await allocate(host.agent, "c2", { node: "b" }), "172.16.4.3");

    const agent = await host.restart();
    assert.equal(agent.member.link.state, "unreachable");
    assert.equal(subnets(agent), "172.16.4.0/22");
    assert.deepEqual(routes(agent), wanted);
    assert.equal(await allocate(agent, "c3", { node: "b" }), "172.16.4.4");
    await agent.addresses.release("b", { owner: owner("c1"), reason: "test" });
    assert.deepEqual(await held(agent, "b"), {
      c2: "172.16.4.3",
      c3: "172.16.4.4",
    });

    // Deleted while nobody could tell it.
    await pools.remove({ node: "gone", instanceId: "", force: true });
    await record.deleteRoute({
      destination: parsePrefix("10.9.0.0/16"),
      target: undefined,
    });
    for (const peer of peers) peer.mend();
    await becomes(agent, "joined");
    await waitFor("what has gone", () => !agent.member.view.nodes.has("gone"));
    assert.deepEqual(routes(agent), wanted.slice(0, 1));
    assert.equal(subnets(agent), "172.16.4.0/22");
    // It is not there after another restart either.
    for (const peer of peers) peer.cut();
    const last = await host.restart();
    assert.deepEqual(routes(last), wanted.slice(0, 1));
  }));

Deno.test("JoinedMember goes over to another registry when one is gone, and tells which", () =>
  withHost(async ({ peers: [x, y], host: { agent } }) => {
    await becomes(agent, "joined");
    x.cut();
    await waitFor("the other", () => agent.member.link.url === "http://y");
    assert.equal(agent.member.link.state, "joined");
    assert.deepEqual(y.joins.at(-1)!.heldSubnets.map(formatPrefix), [
      "172.16.4.0/22",
    ]);
  }));

Deno.test("JoinedMember comes back by itself when it was removed and its subnet is free", () =>
  withHost(async ({ registry, host: { agent } }) => {
    await becomes(agent, "joined");
    await allocate(agent, "c1", { node: "b" });
    const { pools, nodes: members } = registry.agent.host!;
    await pools.remove({ node: "b", instanceId: "", force: true });
    await waitFor("it", async () => {
      const nodes = await members.list();
      return nodes.some(({ name }) => name === "b");
    });
    await becomes(agent, "joined");
    assert.equal(subnets(agent), "172.16.4.0/22");
    assert.deepEqual(await held(agent, "b"), { c1: "172.16.4.2" });
  }));

Deno.test("JoinedMember joins no other cluster, and goes on with its own subnets", () =>
  withHost(async ({ peers, host }) => {
    await becomes(host.agent, "joined");
    await allocate(host.agent, "c1", { node: "b" });
    await using other = await startAgent();
    for (const peer of peers) peer.replace(other.agent);
    await waitFor(
      "the refusal",
      () => /the node belongs to cluster/.test(host.agent.member.link.problem),
    );
    const { link } = host.agent.member;
    assert.equal(link.state, "unreachable");
    assert.match(
      findMembershipFault(link, true)!.advice,
      /is lost, bring it back with .*"stellar-net registry rebuild"/,
    );
    await allocate(host.agent, "c2", { node: "b" });
    assert.equal(subnets(host.agent), "172.16.4.0/22");
    assert.deepEqual(await held(host.agent, "b"), {
      c1: "172.16.4.2",
      c2: "172.16.4.3",
    });
    const { registry, nodes } = other.agent.host!;
    assert.equal(await registry.node("b"), undefined);
    const listed = (await nodes.list()).find(({ name }) => name === "b");
    assert.match(listed!.problem!, /refused it since .* belongs to cluster/);
  }));

Deno.test("JoinedMember.report() sends changes to the registry at once", () =>
  withHost(async ({ registry, host: { agent } }) => {
    await becomes(agent, "joined");
    const address = parseAddress("198.18.0.77");
    await agent.member.report({ ...FACTS, advertised: [address] });
    await waitFor("the new address", async () => {
      const nodes = await registry.agent.host!.nodes.list();
      return nodes.find(({ name }) => name === "b")!
        .advertised[0]!.value === address.value;
    });
    assert.equal(agent.member.link.state, "joined");
  }));

Deno.test("JoinedMember.placeOf() finds the agent that answers for a node", () =>
  withHost(async ({ registry, host: { agent } }) => {
    await registry.agent.member.report({
      ...FACTS,
      apiUrl: "http://198.18.0.11:9000",
    });
    await registry.agent.host!.registry.claim("api");
    await becomes(agent, "joined");
    await knows(agent, "api");
    await waitFor(
      "where the registry's agent is",
      () => agent.member.view.nodes.get("a")?.apiUrl !== "",
    );
    assert.deepEqual(await agent.member.placeOf("b"), { kind: "here" });
    assert.deepEqual(await agent.member.placeOf("a"), {
      kind: "agent",
      url: "http://198.18.0.11:9000",
    });
    for (const node of ["api", "unknown"]) {
      assert.deepEqual(await agent.member.placeOf(node), { kind: "registry" });
    }
  }));
