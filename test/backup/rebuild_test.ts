import assert from "node:assert/strict";
import { writeBackup } from "../../src/backup/format/format.ts";
import { readBackup } from "../../src/backup/format/read.ts";
import {
  readReport,
  rebuildRegistry,
  rebuildWithoutState,
} from "../../src/backup/rebuild.ts";
import { readState } from "../../src/backup/take.ts";
import { SCHEMA_VERSION } from "../../src/state/schema.ts";
import { openDenoKv } from "../../src/store/deno_kv/deno_kv.ts";
import type { Store } from "../../src/store/store.ts";
import { readStoredRegistry } from "../../src/backup/migration_checks.ts";
import { checkUnmarked } from "../../src/state/migration_marks.ts";
import { formatPrefix, parsePrefix } from "../../src/net/prefix.ts";
import { parseAddress } from "../../src/net/address.ts";
import { FaultyStore } from "../fake/faulty_store.ts";
import { FakeRegistryPeer } from "../fake/fake_registry_peer.ts";
import { allocate, held, startAgent } from "../agent/agents.ts";
import { becomes, FACTS, subnets } from "../member/joined_hosts.ts";
import { waitFor } from "../support/wait_for.ts";

/** A registry with two members, b and c. */
async function startCluster() {
  await using stack = new AsyncDisposableStack();
  const registry = stack.use(await startAgent());
  await registry.agent.member.claim();
  await registry.agent.member.report(FACTS);
  const peer = new FakeRegistryPeer(registry.agent, { heartbeatMs: 20 });
  const b = stack.use(await startAgent({ node: "b", peers: [peer] }));
  const c = stack.use(await startAgent({ node: "c", peers: [peer] }));
  for (const { agent } of [b, c]) {
    await agent.member.report(FACTS);
    agent.member.start(() => {});
    await becomes(agent, "joined");
  }
  const ended = stack.move();
  return {
    ...{ registry, peer, b, c },
    [Symbol.asyncDispose]: () => ended.disposeAsync(),
  };
}

Deno.test("rebuildRegistry() brings a lost registry back in the state of a member, and the members come back with all they have", async () => {
  await using cluster = await startCluster();
  const { registry, peer, b, c } = cluster;
  const { host } = registry.agent;
  await host!.registry.addRoute({
    destination: parsePrefix("10.60.0.0/16"),
    target: parseAddress("198.18.0.9"),
  });
  await host!.registry.claim("api");
  for (const { agent } of [b, c]) {
    await waitFor("all nodes", () => agent.member.view.nodes.size === 4);
  }
  await waitFor("the route", () => b.agent.member.view.routes.size === 1);
  const addresses = [
    await allocate(b.agent, "b1", { node: "b" }),
    await allocate(c.agent, "c1", { node: "c" }),
  ];
  const before = [subnets(b.agent), subnets(c.agent)];
  // The registry's host is lost, and b's agent is stopped.
  peer.cut();
  await b.agent.member.stop();
  const { clusterId } = b.agent.member.cluster!;
  const options = { store: b.store, settleMs: 60_000, now: () => 7 };
  const dry = await rebuildRegistry({ ...options, dryRun: true });
  assert.equal(await b.store.get(["cluster", "config"]), null);
  const summary = await rebuildRegistry({ ...options, dryRun: false });
  assert.deepEqual(summary, dry);
  assert.deepEqual(
    [summary.node, summary.clusterId, summary.routes],
    ["b", clusterId, 1],
  );
  assert.deepEqual(
    summary.nodes.map(({ name, hasAgent }) => `${name} ${hasAgent}`).sort(),
    ["a true", "api false", "b true", "c true"],
  );
  await assert.rejects(rebuildRegistry({ ...options, dryRun: false }), {
    code: "failed_precondition",
    message: /there is a registry in .* already/,
  });

  const again = await b.restart({ peers: [] });
  again.member.start(() => {});
  assert.equal(again.host!.cluster.clusterId, clusterId);
  assert.ok(again.host!.restoreGrace.current);
  peer.replace(again);
  peer.mend();
  await becomes(c.agent, "joined");
  assert.deepEqual([subnets(again), subnets(c.agent)], before);
  assert.deepEqual(
    [await held(again, "b"), await held(c.agent, "c")],
    [{ b1: addresses[0] }, { c1: addresses[1] }],
  );
  // Nobody else gets the subnet of a, which is off, or of api.
  const listed = await again.host!.registry.subnets();
  assert.deepEqual(
    listed.map(({ subnet, state, node }) =>
      `${formatPrefix(subnet)} ${state} ${node}`
    ),
    [
      "172.16.0.0/22 reserved a",
      `${before[0]} owned b`,
      `${before[1]} owned c`,
      "172.16.12.0/22 reserved api",
    ],
  );
  assert.equal((await again.host!.registry.routes()).length, 1);
  await c.agent.member.stop();
  await again.member.stop();
});

Deno.test("rebuildRegistry() refuses a state whose agent has joined nothing", async () => {
  await using t = await startAgent({
    peers: [new FakeRegistryPeer(undefined!)],
  });
  await assert.rejects(
    rebuildRegistry({
      ...{ store: t.store, settleMs: 1, dryRun: true, now: () => 1 },
    }),
    {
      code: "failed_precondition",
      message: /is not that of a node that has joined a cluster/,
    },
  );
});

/** A backup of a state, read again. */
async function* backupOf(store: Store, schema = SCHEMA_VERSION) {
  const header = { schema, program: "v1", cluster: "k", node: "n" };
  const rest = { instance: "i", takenAt: "2026-11-29T12:00:00Z" };
  const entries = readState(store, { holdCluster: (run) => run() });
  yield* readBackup(writeBackup({ ...header, ...rest }, entries));
}

Deno.test("readReport() and rebuildWithoutState() bring a lost registry back on a new host from backups of its members", async () => {
  await using cluster = await startCluster();
  const { peer, b, c } = cluster;
  for (const { agent } of [b, c]) {
    await waitFor("all nodes", () => agent.member.view.nodes.size === 3);
  }
  const address = await allocate(b.agent, "b1", { node: "b" });
  const before = [subnets(b.agent), subnets(c.agent)];
  peer.cut();
  const { clusterId } = b.agent.member.cluster!;

  const reports = [];
  for (const { store } of [b, c]) {
    const scratch = await openDenoKv({ path: ":memory:" });
    const options = { file: "/f", scratch };
    reports.push(await readReport(backupOf(store), options));
    await scratch.close();
  }
  const store = await openDenoKv({ path: ":memory:" });
  const options = { reports, target: store, settleMs: 60_000, now: Date.now };
  const { conflicts } = await rebuildWithoutState({ ...options, dryRun: true });
  assert.deepEqual(conflicts, []);
  assert.equal(await store.get(["cluster", "config"]), null);
  assert.deepEqual(
    reports.map(({ node, held }) => [node, ...held.map(formatPrefix)]),
    [
      ["b", before[0]],
      ["c", before[1]],
    ],
  );
  await rebuildWithoutState({ ...options, dryRun: false });
  await using fresh = await startAgent({ node: "d", store });
  fresh.agent.member.start(() => {});
  assert.equal(fresh.agent.host!.cluster.clusterId, clusterId);
  assert.ok(fresh.agent.host!.restoreGrace.current);
  peer.replace(fresh.agent);
  peer.mend();
  for (const { agent } of [b, c]) await becomes(agent, "joined");
  assert.deepEqual([subnets(b.agent), subnets(c.agent)], before);
  assert.deepEqual(await held(b.agent, "b"), { b1: address });
  const listed = await fresh.agent.host!.registry.subnets();
  assert.deepEqual(
    listed.map(({ subnet, state, node }) =>
      `${formatPrefix(subnet)} ${state} ${node}`
    ),
    [
      "172.16.0.0/22 reserved a",
      `${before[0]} owned b`,
      `${before[1]} owned c`,
    ],
  );
  for (const { agent } of [b, c, fresh]) await agent.member.stop();
  await store.close();
});

Deno.test("rebuildRegistry() in another store resumes a killed attempt, and keeps agents away meanwhile", async (t) => {
  await using cluster = await startCluster();
  const { peer, b } = cluster;
  const before = subnets(b.agent);
  peer.cut();
  await b.agent.member.stop();
  const options = { store: b.store, settleMs: 60_000, dryRun: false };
  const rebuildIn = (target: Store) =>
    rebuildRegistry({ ...options, target, now: Date.now });
  const target = new FaultyStore(await openDenoKv({ path: ":memory:" }));
  await t.step("an attempt that fails leaves a mark", async () => {
    // The commits: the schema's, the mark's and the subnets'.
    target.failAfter(2, "refuse before");
    await assert.rejects(rebuildIn(target), { code: "unavailable" });
    assert.equal(await target.get(["cluster", "config"]), null);
    await assert.rejects(checkUnmarked(target), {
      code: "unavailable",
      message: /is being rebuilt here; .* "stellar-net registry rebuild" again/,
    });
  });
  await t.step("another cluster's part is refused", async () => {
    await using other = await startCluster();
    other.peer.cut();
    await other.b.agent.member.stop();
    await assert.rejects(
      rebuildRegistry({
        ...{ ...options, store: other.b.store, target, now: Date.now },
      }),
      /has a part of the registry of cluster .*; name an empty store$/,
    );
    await other.c.agent.member.stop();
  });
  await t.step("the next attempt completes it", async () => {
    const { store } = await rebuildIn(target);
    assert.equal(store, target.url);
    await checkUnmarked(target);
    const { nodes, config } = await readStoredRegistry(target);
    assert.equal(config?.clusterId, b.agent.member.cluster!.clusterId);
    assert.deepEqual(
      nodes.map(({ name, subnets }) => [name, ...subnets.map(formatPrefix)]),
      [["b", before]],
    );
    // The member's own state has no registry.
    assert.equal(await b.store.get(["cluster", "config"]), null);
    await assert.rejects(
      rebuildIn(target),
      /there is a registry in .* already/,
    );
  });
  await t.step("a state with a registry of its own is refused", async () => {
    const empty = await openDenoKv({ path: ":memory:" });
    await assert.rejects(
      rebuildRegistry({
        ...options,
        ...{ store: cluster.registry.store, target: empty, now: Date.now },
      }),
      /there is a registry in .*; move it with "stellar-net store migrate"/,
    );
    await empty.close();
  });
  await cluster.c.agent.member.stop();
  await target.close();
});

Deno.test("readReport() refuses backups that are not of a member", async () => {
  await using registry = await startAgent();
  await registry.agent.member.claim();
  await using alone = await startAgent({
    peers: [new FakeRegistryPeer(undefined!)],
  });
  for (
    const [parts, message] of [
      [backupOf(registry.store), /"\/f" is a backup of a host of the registry/],
      [
        backupOf(alone.store),
        /"\/f" is not a backup of a node that has joined/,
      ],
      [
        backupOf(alone.store, SCHEMA_VERSION + 1),
        /this program knows versions/,
      ],
    ] as const
  ) {
    const scratch = await openDenoKv({ path: ":memory:" });
    await assert.rejects(readReport(parts, { file: "/f", scratch }), {
      code: "failed_precondition",
      message,
    });
    await scratch.close();
  }
});
