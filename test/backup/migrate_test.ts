import assert from "node:assert/strict";
import type { MigrationProgress } from "../../src/backup/port.ts";
import { parsePrefix } from "../../src/net/prefix.ts";
import { openDenoKv } from "../../src/store/deno_kv/deno_kv.ts";
import { owner } from "../addresses/plan/pools.ts";
import { contentsOf } from "../support/state_fixture.ts";
import { waitFor } from "../support/wait_for.ts";
import { allocate } from "../agent/agents.ts";
import {
  describe,
  migrate,
  NamedStore,
  start,
  Stores,
  use,
} from "./moving_registry.ts";

Deno.test("migrateRegistry() moves a registry there and back, and agents go on with it", async () => {
  await using stores = await Stores.create();
  const { kv, etcd } = stores;
  const before = await use(await start(kv), describe);
  const progress: MigrationProgress[] = [];
  const summary = await migrate(kv, etcd, {
    onProgress: (p) => progress.push(p),
  });
  assert.deepEqual({ ...summary, bytes: 0, clusterId: "" }, {
    from: "kv:/state.db",
    to: "etcd://h1:2379/p",
    clusterId: "",
    isResumed: false,
    nodes: 4,
    subnets: 5,
    routes: 1,
    held: 150,
    history: 1,
    entries: summary.entries,
    bytes: 0,
  });
  assert.deepEqual(progress.at(0), { kind: "frozen" });
  assert.deepEqual(progress.at(-2), {
    kind: "copied",
    entries: summary.entries,
    total: summary.entries,
  });
  assert.deepEqual(progress.at(-1), { kind: "verified" });

  await assert.rejects(start(kv), {
    code: "unavailable",
    message:
      /^Cannot use the registry in kv:\/state.db: it has moved to etcd:\/\/h1:2379\/p; restart/,
  });
  const there = await start(kv, etcd);
  assert.deepEqual([...there.member.view.nodes.keys()].sort(), [
    "a",
    "api",
    "b",
    "later",
  ]);
  await use(there, async (agent) => {
    assert.deepEqual(await describe(agent), before);
    await allocate(agent, "more", { node: "api" });
    await allocate(agent, "mine");
    await agent.addresses.release("api", {
      owner: owner("c7"),
      reason: "test",
    });
    await agent.requireHost().registry.deleteRoute({
      destination: parsePrefix("192.0.2.0/24"),
      target: undefined,
    });
  });
  const later = await use(await start(kv, etcd), describe);
  assert.notDeepEqual(later, before);

  await stores.toKv();
  const back = await use(await start(kv), async (agent) => {
    const described = await describe(agent);
    await allocate(agent, "again", { node: "api" });
    return described;
  });
  assert.deepEqual(back, later);

  const last = await use(await start(kv), describe);
  await stores.toEtcd();
  assert.deepEqual(await use(await start(kv, etcd), describe), last);
});

Deno.test("migrateRegistry() leaves the own node's addresses where they are", async () => {
  await using stores = await Stores.create();
  const { kv, etcd } = stores;
  const own = async () =>
    Object.entries(await contentsOf(kv)).filter(([key]) =>
      /^\["(?:ip","a"|history","(?:ip","a"|time",\d+,\d+,"a"))/.test(key)
    );
  const before = await own();
  await stores.toEtcd();
  assert.deepEqual(await own(), before);
  const keys = Object.keys(await contentsOf(etcd));
  assert.deepEqual(keys.filter((key) => key.startsWith('["ip","a"')), []);
  assert.ok(keys.includes('["ip","later","handover"]'));
  await stores.toKv();
  assert.deepEqual(await own(), before);
});

Deno.test("migrateRegistry() only counts in a dry run", async () => {
  await using stores = await Stores.create();
  const before = await contentsOf(stores.kv);
  const { commits } = stores.kv;
  const { nodes, held, entries, bytes } = await stores.toEtcd({ dryRun: true });
  assert.deepEqual([nodes, held], [4, 150]);
  assert.ok(bytes > entries * 20);
  assert.equal(stores.kv.commits, commits);
  assert.equal(stores.etcd.commits, 0);
  assert.deepEqual(await contentsOf(stores.kv), before);
});

Deno.test("a host of a shared registry that moves refuses what would be lost, and goes on if it does not", async () => {
  await using stores = await Stores.create();
  await stores.toEtcd();
  const { etcd } = stores;
  const target = new NamedStore(
    await openDenoKv({ path: ":memory:" }),
    "etcd://h2:2379/p",
  );
  try {
    await use(await start(stores.kv, etcd), async (agent) => {
      await allocate(agent, "before", { node: "api" });
      const { registry } = agent.requireHost();
      // The allocation is under way when the registry is frozen.
      const allocator = await agent.requireHost().allocators.get("api");
      target.failAfter(1, "refuse before");
      await assert.rejects(migrate(etcd, target), /can be used as before$/);
      await allocate(agent, "between", { node: "api" });
      await registry.claim("between");
      await migrate(etcd, target);
      const moved = {
        code: "unavailable",
        message: /has moved to etcd:\/\/h2:2379\/p/,
      };
      await assert.rejects(registry.claim("after"), moved);
      await assert.rejects(allocate(agent, "after", { node: "api" }), moved);
      await assert.rejects(
        allocator.allocate({
          id: "late",
          owner: owner("late"),
          addresses: [],
        }),
        moved,
      );
      await waitFor(
        `a link that tells, not ${JSON.stringify(agent.member.link)}`,
        () =>
          agent.member.link.state === "unreachable" &&
          agent.member.link.problem.includes("has moved to"),
      );
      assert.match(await allocate(agent, "own"), /^172\.16\./);
    });
    await use(await start(stores.kv, target), async (agent) => {
      const { api } = await describe(agent) as { api: Record<string, string> };
      assert.ok("before" in api && "between" in api && !("late" in api));
    });
  } finally {
    await target.close();
  }
});
