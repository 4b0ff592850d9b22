import assert from "node:assert/strict";
import type { AgentOptions } from "../../src/agent/open_member.ts";
import {
  migrateState,
  type Migration,
  MIGRATIONS,
  readSchemaVersion,
  SCHEMA_KEY,
  SCHEMA_VERSION,
} from "../../src/state/schema.ts";
import { openDenoKv } from "../../src/store/deno_kv/deno_kv.ts";
import { FaultyStore } from "../fake/faulty_store.ts";
import { contentsOf, loadFixture } from "../support/state_fixture.ts";
import { allocate, held, networks, startAgent } from "../agent/agents.ts";
import { owner } from "../addresses/plan/pools.ts";

/** States that earlier versions have left, with their version. */
const FIXTURES = [
  [1, "state_v1/registry.jsonl"],
  [1, "state_v1/joined.jsonl"],
  [2, "state_v2/registry.jsonl"],
] as const;

// Steps that version 2 could have been followed by: history records get a
// field, addresses move, what cools is forgotten.
const INVENTED: readonly Migration[] = [
  ...MIGRATIONS,
  {
    summary: "records tell their kind",
    migrate: ({ key, value }) =>
      key[0] === "history" && !("kind" in (value as object))
        ? { puts: [{ key, value: { ...value as object, kind: "release" } }] }
        : undefined,
  },
  {
    summary: "addresses are below what holds them",
    migrate: ({ key, value }) => {
      const [first, node, third, ...rest] = key;
      if (first !== "ip") return undefined;
      if (third === "released") return { deletes: [key] };
      if (third !== "address") return undefined;
      return {
        deletes: [key],
        puts: [{ key: ["held", node!, ...rest], value }],
      };
    },
  },
];

/** The version of a state on the way to the next one, with the last key that has it. */
interface SchemaValue {
  readonly version: number;
  readonly after?: unknown;
}

async function openStore(fixture?: string): Promise<FaultyStore> {
  const store = new FaultyStore(await openDenoKv({ path: ":memory:" }));
  if (fixture) await loadFixture(store, fixture);
  return store;
}

Deno.test("migrateState() brings a state of every earlier version to the newest", async (t) => {
  for (const [version, fixture] of FIXTURES) {
    await t.step(fixture, async () => {
      const store = await openStore(fixture);
      const before = await contentsOf(store);
      assert.equal(await readSchemaVersion(store), version);
      await migrateState(store);
      assert.equal(await readSchemaVersion(store), SCHEMA_VERSION);
      // Versions 2 and 3 change nothing but the version: readers know both.
      assert.deepEqual(await contentsOf(store), {
        ...before,
        [JSON.stringify(SCHEMA_KEY)]: { version: SCHEMA_VERSION },
      });
      await store.close();
    });
  }
});

Deno.test("migrateState() gives a new state the newest version, and leaves one that has it alone", async () => {
  const store = await openStore();
  await migrateState(store);
  assert.deepEqual(await contentsOf(store), {
    [JSON.stringify(SCHEMA_KEY)]: { version: SCHEMA_VERSION },
  });
  const { commits } = store;
  await migrateState(store);
  assert.equal(store.commits, commits);
  await store.close();
});

Deno.test("an agent of today goes on with a state of version 1", async (t) => {
  await t.step("one that hosts the registry", async () => {
    await using started = await startAgent({ node: "node1" });
    const { store } = started;
    for await (const { key } of store.list([])) {
      await store.commit({ deletes: [key] });
    }
    await loadFixture(store, FIXTURES[0][1]);
    const agent = await started.restart();
    assert.deepEqual(await held(agent, "node1"), {
      "web-1": "172.16.0.2 fd00:db8::2",
      "web-4": "172.16.0.5 fd00:db8::5",
      "web-5": "172.16.0.99 fd00:db8::6",
    });
    assert.deepEqual(await held(agent, "edge1"), {
      "api-1": "172.16.4.2 fd00:db8:0:1::2",
    });
    const given = await allocate(agent, "new", { node: "node1" });
    assert.equal(given, "172.16.0.100 fd00:db8::7");
    const history = await agent.addresses.history({
      node: "node1",
      limit: 100,
    });
    const released = history.filter(({ reason }) => reason !== "");
    assert.equal(released.length, 4);
  });
  await t.step("one that has joined", async () => {
    await using started = await startAgent();
    const { store } = started;
    for await (const { key } of store.list([])) {
      await store.commit({ deletes: [key] });
    }
    await loadFixture(store, FIXTURES[1][1]);
    const peers: AgentOptions["peers"] = [unreachable()];
    const agent = await started.restart({ node: "node2", peers });
    assert.deepEqual(await held(agent, "node2"), {
      "db-2": "172.16.12.3 fd00:db8:0:2::3",
    });
    const given = await allocate(agent, "new", { node: "node2" });
    assert.equal(given, "172.16.12.4 fd00:db8:0:2::4");
    assert.deepEqual([...agent.member.view.nodes.keys()].sort(), [
      "edge1",
      "node1",
      "node2",
    ]);
  });
});

Deno.test("migrateState() goes on where it was interrupted, at whatever commit that was", async (t) => {
  const whole = await openStore(FIXTURES[0][1]);
  // Small commits, as of a state that is large.
  whole.limits = { ...whole.limits, maxMutations: 8 };
  const start = whole.commits;
  await migrateState(whole, INVENTED);
  const wanted = await contentsOf(whole);
  const count = whole.commits - start;
  assert.ok(count >= 6, `${count} commits`);
  assert.ok('["held","node1","172.16.0.2"]' in wanted);
  await whole.close();
  for (let passed = 0; passed < count; passed++) {
    for (const fault of ["refuse before", "lose answer"] as const) {
      await t.step(`${passed} commits, then ${fault}`, async () => {
        const store = await openStore(FIXTURES[0][1]);
        store.limits = { ...store.limits, maxMutations: 8 };
        store.failAfter(passed, fault);
        await assert.rejects(migrateState(store, INVENTED), {
          code: "unavailable",
        });
        await migrateState(store, INVENTED);
        assert.deepEqual(await contentsOf(store), wanted);
        await store.close();
      });
    }
  }
});

Deno.test("migrateState() refuses a state of a newer program, naming both versions and the way out", async (t) => {
  const message = (found: number) =>
    `Cannot use the state in kv::memory:: its schema has version ${found}, and this program knows versions up to ${SCHEMA_VERSION}; ` +
    "start the newer program again, or restore a backup from before the upgrade into an empty state";
  const newer = SCHEMA_VERSION + 1;
  const rows: readonly [name: string, record: Record<string, number>][] = [
    ["newer", { version: newer }],
    ["half on the way to it", { version: SCHEMA_VERSION, next: newer }],
  ];
  for (const [name, value] of rows) {
    await t.step(name, async () => {
      const store = await openStore(FIXTURES[0][1]);
      await store.commit({ puts: [{ key: SCHEMA_KEY, value }] });
      const before = await contentsOf(store);
      const refusal = { code: "failed_precondition", message: message(newer) };
      await assert.rejects(migrateState(store), refusal);
      assert.deepEqual(await contentsOf(store), before);
      await store.close();
    });
  }
});

Deno.test("migrateState() refuses a damaged version", async () => {
  const store = await openStore();
  await store.commit({ puts: [{ key: SCHEMA_KEY, value: { version: "2" } }] });
  await assert.rejects(migrateState(store), {
    code: "failed_precondition",
    message: /^Cannot read \["agent","schema"\] from the store: its value is/,
  });
  await store.close();
});

Deno.test("migrateState() by two agents on one store comes to the same", async () => {
  const store = await openStore(FIXTURES[0][1]);
  store.limits = { ...store.limits, maxMutations: 8 };
  await Promise.all([
    migrateState(store, INVENTED),
    migrateState(store, INVENTED),
  ]);
  const alone = await openStore(FIXTURES[0][1]);
  await migrateState(alone, INVENTED);
  assert.deepEqual(await contentsOf(store), await contentsOf(alone));
  await store.close();
  await alone.close();
});

Deno.test("migrateState() never overwrites a state that another agent has migrated further", async () => {
  const store = await openStore(FIXTURES[0][1]);
  store.limits = { ...store.limits, maxMutations: 8 };
  const commit = store.commit.bind(store);
  const versions: number[] = [];
  let parts = 0;
  store.commit = async (changes) => {
    const result = await commit(changes);
    const schema = changes.puts?.find(({ key }) => key === SCHEMA_KEY);
    if (!result.committed || !schema) return result;
    const { version, after } = schema.value as unknown as SchemaValue;
    versions.push(version);
    // The other agent goes all the way after this one's first part.
    if (after && ++parts === 1) await migrateState(store, INVENTED);
    return result;
  };
  await migrateState(store, INVENTED);
  assert.ok(parts > 0);
  assert.deepEqual(versions, versions.toSorted((a, b) => a - b));
  await store.close();
});

Deno.test("Agent.start() looks at the version before anything else", async () => {
  await using started = await startAgent({
    networks: networks(["10.0.0.0/16", 24]),
  });
  const { store } = started;
  await store.commit({
    puts: [{ key: SCHEMA_KEY, value: { version: SCHEMA_VERSION + 1 } }],
    deletes: [["agent", "instance"]],
  });
  const before = await contentsOf(store);
  await assert.rejects(started.restart(), { code: "failed_precondition" });
  assert.deepEqual(await contentsOf(store), before);
});

/** A registry that does not answer. */
function unreachable(): AgentOptions["peers"][number] {
  const fail = () => Promise.reject(new Error("nobody asks before the start"));
  return {
    url: "http://198.18.0.1:9000",
    join: fail,
    reportOwners: fail,
    heartbeat: fail,
    async *watch() {},
    async *handover() {},
    finishHandover: fail,
    leave: fail,
  };
}

Deno.test("an agent serves the containers of a state of version 2", async () => {
  const store = await openStore("state_v2/registry.jsonl");
  await using t = await startAgent({ store, coolDownMs: 60_000 });
  for (const id of ["web-1", "web-3"]) t.netns.set(`/run/netns/${id}`, "there");
  const before = await held(t.agent);
  assert.deepEqual(before, {
    "web-1": "172.16.0.2 fd00::2",
    "web-3": "172.16.0.4 fd00::4",
    late: "172.16.0.5 fd00::5",
    unknown: "172.16.0.6 fd00::6",
    api: "172.16.0.99 fd00::7",
  });
  const ids = (await t.agent.addresses.list("a", { limit: 9 })).map(({ id }) =>
    id
  );
  const again = (await t.agent.addresses.list("a", { limit: 9 })).map((
    { id },
  ) => id);
  assert.deepEqual(ids, again);
  const add = (id: string, netns: string) =>
    t.agent.addresses.allocate("a", { owner: owner(id), addresses: [], netns });
  await assert.rejects(add("web-1", "/run/netns/web-1"), {
    code: "already_exists",
  });
  t.netns.set("/run/netns/web-1", "gone");
  await add("web-1", "/run/netns/new");
  assert.deepEqual(await held(t.agent), before);
  await t.agent.addresses.release("a", {
    owner: owner("api"),
    reason: "test",
    id: ids.at(-1)!,
  });
  assert.equal((await held(t.agent)).api, undefined);
  await store.close();
});
