import assert from "node:assert/strict";
import type { Agent } from "../../src/agent/agent.ts";
import type { ClusterEvent } from "../../src/registry/feed.ts";
import { UNREACHABLE_AFTER_MS } from "../../src/registry/liveness.ts";
import { parseAddress } from "../../src/net/address.ts";
import { formatPrefix, parsePrefix } from "../../src/net/prefix.ts";
import { allocate, held, startAgent, type TestAgent } from "../agent/agents.ts";

/** Joins a host, as its agent does. */
async function join(agent: Agent, node: string): Promise<string> {
  const { subnets } = await agent.host!.pools.join({
    node,
    instanceId: `id-of-${node}`,
    advertised: [parseAddress("198.18.0.2")],
    apiUrl: "",
    localPrefixes: [],
    heldSubnets: [],
    clusterId: "",
  });
  return subnets.map(formatPrefix).join(" ");
}

/** What a watcher is told, as texts. */
function format(event: ClusterEvent): string[] {
  return [
    event.isSnapshot ? "snapshot" : "changes",
    ...event.nodes.map((n) =>
      `+${n.name} ${n.state} ${n.subnets.map(formatPrefix).join(" ")}`
    ),
    ...event.removedNodes.map((n) => `-${n}`),
    ...event.routes.map((r) => `+${formatPrefix(r.destination)}`),
    ...event.removedRoutes.map((r) => `-${r}`),
  ];
}

/** Watches, does something after each event, and ends one event after the last. */
async function watch(
  t: TestAgent,
  acts: readonly (() => Promise<unknown>)[],
): Promise<string[][]> {
  const events: string[][] = [];
  const end = new AbortController();
  for await (const event of t.agent.host!.nodes.watch(end.signal)) {
    events.push(format(event));
    const act = acts[events.length - 1];
    if (act) await act();
    else end.abort();
  }
  return events;
}

Deno.test("Agent.join() gives this node the first subnet and each host the next", async () => {
  await using t = await startAgent();
  const joined = await Promise.all(
    ["b", "c", "d"].map((n) => join(t.agent, n)),
  );
  assert.deepEqual(joined.sort(), [
    "172.16.12.0/22",
    "172.16.4.0/22",
    "172.16.8.0/22",
  ]);
  assert.equal(await allocate(t.agent, "c1"), "172.16.0.2");
});

Deno.test("NodePools.join() refuses this node's own name", async () => {
  await using t = await startAgent();
  await assert.rejects(join(t.agent, "a"), { code: "already_exists" });
});

Deno.test("NodePools.handover() lists the allocations over the API for the node's agent, until it has them", async () => {
  await using t = await startAgent();
  const { pools, registry } = t.agent.host!;
  await registry.claim("b");
  await allocate(t.agent, "c1", { node: "b" });
  await allocate(t.agent, "c2", { node: "b" });
  const b = { node: "b", instanceId: "id-of-b" };
  const page = async () =>
    (await pools.handover(b, { behind: undefined, limit: 10 }))
      .map(({ owner }) => owner.containerId);
  await assert.rejects(page(), { code: "failed_precondition" });
  assert.equal(await join(t.agent, "b"), "172.16.0.0/22");
  assert.deepEqual(await page(), ["c1", "c2"]);
  await assert.rejects(allocate(t.agent, "c3", { node: "b" }), {
    code: "failed_precondition",
  });
  await assert.rejects(
    pools.finishHandover({ ...b, instanceId: "another" }),
    { code: "failed_precondition" },
  );
  await pools.finishHandover(b);
  await pools.finishHandover(b);
  await assert.rejects(page(), { code: "unavailable" });
});

Deno.test("NodePools.remove() forgets the allocations of a node without an agent", async () => {
  await using t = await startAgent();
  const { pools, registry } = t.agent.host!;
  await registry.claim("b");
  await allocate(t.agent, "c1", { node: "b" });
  await pools.remove({ node: "b", instanceId: "", force: false });
  await registry.claim("b");
  assert.deepEqual(await held(t.agent, "b"), {});
});

Deno.test("NodePools.remove() changes nothing where it is refused", async () => {
  await using t = await startAgent();
  const address = await allocate(t.agent, "c1");
  const { pools } = t.agent.host!;
  await t.agent.member.report({
    advertised: [],
    apiUrl: "",
    localPrefixes: [],
  });
  await assert.rejects(
    pools.remove({ node: "a", instanceId: "", force: false }),
    { code: "failed_precondition", message: /it is alive/ },
  );
  assert.deepEqual(await held(t.agent), { c1: address });
});

Deno.test("NodeAddresses.allocate() leaves the addresses of a host to its own agent", async () => {
  await using t = await startAgent();
  await t.agent.host!.registry.claim("b");
  await join(t.agent, "b");
  await assert.rejects(allocate(t.agent, "c1", { node: "b" }), {
    code: "failed_precondition",
    message: /node "b": its own agent hands them out/,
  });
});

Deno.test("Nodes.watch() sends a snapshot, then changes", async () => {
  await using t = await startAgent();
  await join(t.agent, "b");
  const end = new AbortController();
  const told: string[] = [];
  for await (const event of t.agent.host!.nodes.watch(end.signal)) {
    const [kind, ...lines] = format(event);
    if (kind === "snapshot") {
      assert.deepEqual(lines, [
        ...["+a no agent 172.16.0.0/22", "+b ready 172.16.4.0/22"],
      ]);
      await join(t.agent, "c");
      await t.agent.host!.pools.remove({
        ...{ node: "b", instanceId: "", force: true },
      });
      await t.agent.host!.registry.addRoute({
        destination: parsePrefix("192.0.2.0/24"),
        target: parseAddress("198.18.0.9"),
      });
      continue;
    }
    // One event, or several on a busy machine.
    told.push(...lines);
    if (told.includes("+192.0.2.0/24")) end.abort();
  }
  assert.deepEqual(told, ["+c ready 172.16.8.0/22", "-b", "+192.0.2.0/24"]);
});

Deno.test("Nodes.watch() ends at once when it is given up", async () => {
  await using t = await startAgent();
  const end = new AbortController();
  const events = t.agent.host!.nodes.watch(end.signal)
    [Symbol.asyncIterator]();
  await events.next();
  const waiting = events.next();
  end.abort();
  assert.deepEqual(await waiting, { done: true, value: undefined });
});

Deno.test("Nodes.checkLiveness() reports silent nodes, and a heartbeat reports their return", async () => {
  await using t = await startAgent();
  await join(t.agent, "b");
  const { nodes: members } = t.agent.host!;
  const events = await watch(t, [
    async () => {
      await pass(t, UNREACHABLE_AFTER_MS);
    },
    () => members.heartbeat("b", "id-of-b"),
  ]);
  assert.deepEqual(events.slice(1), [
    ["changes", "+b unreachable 172.16.4.0/22"],
    ["changes", "+b ready 172.16.4.0/22"],
  ]);
});

Deno.test("Nodes tells watchers that a node is back whose silence only a snapshot showed", async () => {
  await using t = await startAgent();
  await join(t.agent, "b");
  const { nodes: members } = t.agent.host!;
  t.clock.nowMs += UNREACHABLE_AFTER_MS;
  const events = await watch(t, [
    async () => {
      await members.heartbeat("b", "id-of-b");
      await members.checkLiveness();
    },
  ]);
  assert.deepEqual(events, [
    ["snapshot", "+a no agent 172.16.0.0/22", "+b unreachable 172.16.4.0/22"],
    ["changes", "+b ready 172.16.4.0/22"],
  ]);
});

/** Lets time pass while the registry runs and checks its nodes: node "z" is alive, if it has joined. */
async function pass(
  { agent, clock }: TestAgent,
  ms: number,
  reclaimAfterMs?: number,
): Promise<void> {
  const { nodes } = agent.host!;
  const hasAlive = (await nodes.list()).some(({ name }) => name === "z");
  for (let left = ms; left > 0; left -= 1_000) {
    clock.nowMs += Math.min(left, 1_000);
    if (hasAlive) await nodes.heartbeat("z", "id-of-z");
    await agent.host!.checkLiveness(reclaimAfterMs);
  }
}

/** The nodes and their states, in one text. */
async function states({ agent }: TestAgent): Promise<string> {
  const nodes = await agent.host!.nodes.list();
  return nodes.map(({ name, state }) => `${name} ${state}`).join(", ");
}

Deno.test("RegistryHost.checkLiveness() removes no node for the registry's own pause, and keeps their states", async () => {
  await using t = await startAgent();
  const host = t.agent.host!;
  await join(t.agent, "b");
  await join(t.agent, "c");
  await join(t.agent, "z");
  await pass(t, 10_000, 60_000);
  await host.nodes.heartbeat("b", "id-of-b");
  await pass(t, 5_000, 60_000);
  const before = "a no agent, b ready, c unreachable, z ready";
  assert.equal(await states(t), before);
  // As a stopped process, or a paused virtual machine.
  t.clock.nowMs += 24 * 3_600_000;
  await host.checkLiveness(60_000);
  assert.equal(await states(t), before);
  assert.deepEqual(host.warnings, [
    'node "c" is silent, and is removed in 60 s unless it comes back',
  ]);
  await pass(t, 59_999, 60_000);
  assert.match(await states(t), /c unreachable/);
  await pass(t, 1, 60_000);
  assert.equal(await states(t), "a no agent, z ready");
});

Deno.test("RegistryHost.checkLiveness() counts no silence while the store does not answer", async () => {
  await using t = await startAgent();
  const host = t.agent.host!;
  await join(t.agent, "b");
  await join(t.agent, "z");
  await pass(t, 55_000, 60_000);
  // Each check fails before it comes to the nodes.
  t.clock.nowMs += 10_000;
  await host.checkLiveness(60_000);
  assert.match(await states(t), /b unreachable/);
  await pass(t, 50_000, 60_000);
  assert.match(await states(t), /b unreachable/);
  await pass(t, 10_000, 60_000);
  assert.equal(await states(t), "a no agent, z ready");
});

Deno.test("RegistryHost.checkLiveness() removes nobody while all nodes are silent, and counts afresh then", async () => {
  await using t = await startAgent();
  const host = t.agent.host!;
  await join(t.agent, "b");
  await join(t.agent, "c");
  await pass(t, 70_000, 60_000);
  assert.equal(await states(t), "a no agent, b unreachable, c unreachable");
  // As when the registry's own link comes back: one heartbeat is the first.
  await host.nodes.heartbeat("b", "id-of-b");
  await pass(t, 1_000, 60_000);
  assert.equal(await states(t), "a no agent, b ready, c unreachable");
});

Deno.test("RegistryHost.checkLiveness() removes 3 nodes within the time, and says which stay", async () => {
  await using t = await startAgent();
  const names = ["b", "c", "d", "e", "f", "g", "h", "i"];
  for (const name of names) await join(t.agent, name);
  const host = t.agent.host!;
  const beat = async () => {
    for (const name of names.slice(4)) {
      await host.nodes.heartbeat(name, `id-of-${name}`);
    }
  };
  for (let second = 0; second < 60; second++) {
    await pass(t, 1_000, 60_000);
    await beat();
  }
  assert.equal((await host.nodes.list()).length, names.length + 1 - 3);
  await pass(t, 1_000, 60_000);
  assert.match(
    host.warnings.join(),
    /^node "." is silent for longer than --recl/,
  );
  for (let second = 0; second < 60; second++) {
    await pass(t, 1_000, 60_000);
    await beat();
  }
  assert.equal(
    await states(t),
    "a no agent, f ready, g ready, h ready, i ready",
  );
});

Deno.test("NodePools.remove() for its silence keeps a node whose heartbeat has come", async () => {
  await using t = await startAgent();
  const { pools, nodes } = t.agent.host!;
  await join(t.agent, "b");
  await pass(t, 60_000);
  const removal = { node: "b", instanceId: "", force: false };
  await nodes.heartbeat("b", "id-of-b");
  await assert.rejects(pools.remove(removal, { isReclaimed: true }), {
    code: "failed_precondition",
  });
  assert.match(await states(t), /b ready/);
});

Deno.test("RegistryHost.checkLiveness() removes a host that is silent for as long as is said", async () => {
  await using t = await startAgent();
  await join(t.agent, "b");
  await join(t.agent, "z");
  const host = t.agent.host!;
  const names = async () => (await host.nodes.list()).map(({ name }) => name);
  await pass(t, 59_999, 60_000);
  assert.deepEqual(await names(), ["a", "b", "z"]);
  t.clock.nowMs += 1;
  await host.checkLiveness(undefined);
  assert.deepEqual(await names(), ["a", "b", "z"]);
  await host.checkLiveness(60_000);
  assert.deepEqual(await names(), ["a", "z"]);
});

Deno.test("Nodes refuses the second of two processes with one state, and shows it on every host", async () => {
  await using t = await startAgent();
  const { nodes, pools } = t.agent.host!;
  const request = {
    ...{ node: "b", instanceId: "id-of-b", advertised: [], apiUrl: "" },
    ...{ heldSubnets: [], localPrefixes: [], clusterId: "" },
  };
  await pools.join({ ...request, processId: "p1" });
  t.clock.nowMs += 5_000;
  await nodes.heartbeat("b", "id-of-b", "p1");
  await pools.join({ ...request, processId: "p2" });
  t.clock.nowMs += 5_000;
  await nodes.heartbeat("b", "id-of-b", "p1");
  for (
    const call of [
      () => nodes.heartbeat("b", "id-of-b", "p2"),
      () => pools.join({ ...request, processId: "p2" }),
    ]
  ) {
    await assert.rejects(call, {
      code: "already_exists",
      message: /another process runs with it, so that one of them is a copy/,
    });
  }
  await nodes.heartbeat("b", "id-of-b", "p1");
  const problem =
    "two processes run with its state, which was copied: the second one is fenced";
  const snapshot = await nodes.snapshot();
  assert.equal(
    snapshot.nodes.find(({ name }) => name === "b")!.problem,
    problem,
  );
});

Deno.test("Nodes takes no late heartbeat for a sign of life", async () => {
  await using t = await startAgent();
  const { nodes } = t.agent.host!;
  await join(t.agent, "b");
  await nodes.heartbeat("b", "id-of-b", "p1");
  const marker = nodes.markerOf("b");
  await nodes.heartbeat("b", "id-of-b", "p2");
  await pass(t, UNREACHABLE_AFTER_MS);
  const late = await nodes.heartbeat("b", "id-of-b", "p1", marker);
  assert.equal(late.isLate, true);
  assert.match(await states(t), /b unreachable/);
  const { isLate } = await nodes.heartbeat(
    ...["b", "id-of-b", "p2", nodes.markerOf("b")] as const,
  );
  assert.equal(isLate, false);
  assert.match(await states(t), /b ready/);
});

Deno.test("Nodes shows for a minute that a host with another state was refused", async () => {
  await using t = await startAgent();
  const { nodes, pools } = t.agent.host!;
  await join(t.agent, "b");
  await assert.rejects(
    pools.join({
      ...{ node: "b", instanceId: "another", advertised: [], apiUrl: "" },
      ...{ heldSubnets: [], localPrefixes: [], clusterId: "" },
    }),
    { code: "already_exists" },
  );
  const problem = async () =>
    (await nodes.list()).find(({ name }) => name === "b")!.problem;
  assert.equal(
    await problem(),
    "another host tries to join with its name, and is refused",
  );
  await pass(t, 61_000);
  assert.equal(await problem(), undefined);
});

Deno.test("Nodes.join() of a node that knows a later revision begins the grace period, once", async () => {
  await using t = await startAgent();
  const host = t.agent.host!;
  const { nodes, pools, registry } = host;
  await join(t.agent, "b");
  const request = (node: string, revision: number, held: string[] = []) => ({
    ...{ node, instanceId: `id-of-${node}`, advertised: [], apiUrl: "" },
    ...{ localPrefixes: [], clusterId: "", revision },
    heldSubnets: held.map(parsePrefix),
  });
  await pools.join(request("b", (await nodes.snapshot()).revision));
  assert.equal(host.restoreGrace.current, undefined);
  const { revision } = await nodes.snapshot();
  // c joined after the copy of the registry's state was made.
  const { subnets } = await pools.join(
    request("c", revision + 1, ["172.16.8.0/22"]),
  );
  assert.deepEqual(subnets.map(formatPrefix), ["172.16.8.0/22"]);
  assert.ok(host.restoreGrace.wantsReports);
  await assert.rejects(pools.join(request("d", 0)), {
    code: "unavailable",
    message: /hosts that it does not know/,
  });
  await registry.reserveForOwners("c", [
    { node: "off", subnet: parsePrefix("172.16.12.0/22") },
  ]);
  t.clock.nowMs += 60_000;
  await host.checkLiveness(undefined);
  assert.equal(host.restoreGrace.current, undefined);
  assert.deepEqual(
    (await pools.join(request("d", 0))).subnets.map(formatPrefix),
    ["172.16.16.0/22"],
  );
  // A node cannot keep others from joining by claiming ever later revisions.
  await pools.join(request("c", revision + 1_000, ["172.16.8.0/22"]));
  assert.equal(host.restoreGrace.current, undefined);
});

Deno.test("RegistryHost.warnings names a node whose prefixes overlap much of a network", async () => {
  await using t = await startAgent();
  const host = t.agent.host!;
  await host.pools.join({
    ...{ node: "b", instanceId: "id-of-b", advertised: [], apiUrl: "" },
    ...{ heldSubnets: [], clusterId: "" },
    localPrefixes: [
      { prefix: parsePrefix("172.24.0.0/13"), device: "docker0" },
      { prefix: parsePrefix("0.0.0.0/0"), device: "eth0" },
    ],
  });
  await host.checkLiveness(undefined);
  assert.deepEqual(host.warnings, [
    'the prefixes of node "b" block 512 of the 1024 subnets of 172.16.0.0/12; 0.0.0.0/0 on eth0 blocks nobody, since that would be most of the network',
  ]);
});

Deno.test("Registry.reserveForOwners() takes an owner of every subnet, and others join all the same", async () => {
  await using t = await startAgent();
  const { registry } = t.agent.host!;
  const owners = Array.from({ length: 1_024 }, (_, i) => ({
    node: `n${i}`,
    subnet: parsePrefix(`172.${16 + Math.floor(i / 64)}.${(i % 64) * 4}.0/22`),
  }));
  await join(t.agent, "b");
  await registry.reserveForOwners("b", owners);
  assert.equal((await registry.subnets()).length, 1_024);
  assert.match(await join(t.agent, "c"), /^172\./);
});

Deno.test("Nodes.heartbeat() refuses an unknown node, and another instance", async () => {
  await using t = await startAgent();
  await join(t.agent, "b");
  const { nodes: members } = t.agent.host!;
  await assert.rejects(members.heartbeat("x", "y"), { code: "not_found" });
  await assert.rejects(members.heartbeat("b", "another"), {
    code: "already_exists",
  });
});

Deno.test("Nodes takes no node for silent after a change of the clock", async () => {
  await using t = await startAgent({ uptimeMs: () => 0 });
  await join(t.agent, "b");
  t.clock.nowMs += 24 * 3_600_000;
  const host = t.agent.host!;
  await host.checkLiveness(60_000);
  assert.deepEqual(
    (await host.nodes.list()).map(({ name, state }) => [name, state]),
    [["a", "no agent"], ["b", "ready"]],
  );
});
