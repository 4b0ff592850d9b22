import assert from "node:assert/strict";
import { configure, type LogRecord, reset } from "@logtape/logtape";
import type { AuditRecord } from "../../src/audit/audit.ts";
import { type AuditQuery, AuditStore } from "../../src/audit/audit_store.ts";
import { openDenoKv } from "../../src/store/deno_kv/deno_kv.ts";
import { FaultyStore } from "../fake/faulty_store.ts";
import { collectLogs } from "../support/collect_logs.ts";
import { waitFor } from "../support/wait_for.ts";

const ALL: AuditQuery = {
  limit: 1_000,
  caller: "",
  call: "",
  hasFailed: false,
};

function record(atMs: number, fields: Partial<AuditRecord> = {}): AuditRecord {
  return {
    atMs,
    caller: "operator alice",
    from: "198.18.0.7",
    call: "RemoveNode",
    subject: "n1",
    outcome: "ok",
    message: "",
    ...fields,
  };
}

/** An audit in memory, and its store. */
async function openAudit() {
  const store = new FaultyStore(await openDenoKv({ path: ":memory:" }));
  const audit = AuditStore.start({
    store,
    keepMs: 3_600_000,
    now: () => 10_000,
  });
  return {
    store,
    audit,
    async [Symbol.asyncDispose]() {
      await audit.stop();
      await store.close();
    },
  };
}

/** How many records a store has. */
async function countIn(store: FaultyStore): Promise<number> {
  return (await Array.fromAsync(store.list(["audit"]))).length;
}

const DURABLE = { isDurable: true };
const GATHERED = { isDurable: false };

Deno.test("AuditStore keeps records, and lists the selected ones, the latest first", async (t) => {
  await using opened = await openAudit();
  const { audit } = opened;
  const records = [
    record(9_001),
    record(9_002, { caller: "socket", from: "", call: "Allocate" }),
    record(9_003, { outcome: "not_found", message: "Cannot remove it" }),
    record(9_003, { caller: "node n2", call: "Heartbeat" }),
  ];
  for (const each of records) await audit.record(each, DURABLE);
  const rows: readonly [
    name: string,
    query: Partial<AuditQuery>,
    found: readonly number[],
  ][] = [
    ["all", {}, [3, 2, 1, 0]],
    ["the latest", { limit: 2 }, [3, 2]],
    ["since a time", { sinceMs: 9_002 }, [3, 2, 1]],
    ["of a caller", { caller: "operator alice" }, [2, 0]],
    ["of a caller and a call", { caller: "socket", call: "Allocate" }, [1]],
    ["what failed", { hasFailed: true }, [2]],
    ["nothing", { call: "Leave" }, []],
  ];
  for (const [name, query, found] of rows) {
    await t.step(name, async () => {
      assert.deepEqual(
        await audit.list({ ...ALL, ...query }),
        found.map((i) => records[i]),
      );
    });
  }
});

Deno.test("AuditStore has a durable record in its store when it answers, several in one commit", async () => {
  await using opened = await openAudit();
  const { audit, store } = opened;
  await audit.record(record(9_001), DURABLE);
  assert.deepEqual([await countIn(store), store.commits], [1, 1]);
  await Promise.all(
    Array.from({ length: 100 }, (_, i) => audit.record(record(i), DURABLE)),
  );
  assert.equal(await countIn(store), 101);
  assert.ok(store.commits <= 3, `${store.commits} commits`);
});

Deno.test("AuditStore gathers other records, and stores them with the next durable one or at the end", async () => {
  await using opened = await openAudit();
  const { audit, store } = opened;
  for (let i = 0; i < 10; i++) await audit.record(record(i), GATHERED);
  assert.deepEqual([await countIn(store), store.commits], [0, 0]);
  await audit.record(record(10), DURABLE);
  assert.deepEqual([await countIn(store), store.commits], [11, 1]);
  await audit.record(record(11), GATHERED);
  await audit.stop();
  assert.equal(await countIn(store), 12);
});

Deno.test("AuditStore stores collected records by itself", async () => {
  await using opened = await openAudit();
  const { audit, store } = opened;
  const { promise, resolve } = Promise.withResolvers<void>();
  store.onCommit = resolve;
  await audit.record(record(1), GATHERED);
  await promise;
  assert.equal(await countIn(store), 1);
});

Deno.test("AuditStore keeps to the limits of a commit", async () => {
  await using opened = await openAudit();
  const { audit, store } = opened;
  store.limits = { ...store.limits, maxMutations: 10, maxCommitBytes: 4_000 };
  for (let i = 0; i < 50; i++) {
    await audit.record(record(i, { message: "x".repeat(300) }), GATHERED);
  }
  await audit.record(record(50), DURABLE);
  assert.equal(await countIn(store), 51);
  assert.ok(store.commits >= 9, `${store.commits} commits`);
});

Deno.test("AuditStore answers when its store fails, and stores the records later", async () => {
  await using opened = await openAudit();
  const { audit, store } = opened;
  store.isDown = true;
  await audit.record(record(1), DURABLE);
  await audit.record(record(2), GATHERED);
  store.isDown = false;
  await audit.record(record(3), DURABLE);
  const times = (await audit.list(ALL)).map(({ atMs }) => atMs);
  assert.deepEqual(times, [3, 2, 1]);
});

Deno.test("AuditStore logs once that its store fails, and that it works again", async () => {
  await using opened = await openAudit();
  const { audit, store } = opened;
  const lines = await collectLogs(async () => {
    store.isDown = true;
    for (let atMs = 1; atMs <= 5; atMs++) {
      await audit.record(record(atMs), DURABLE);
    }
    store.isDown = false;
    await audit.record(record(6), DURABLE);
  });
  assert.deepEqual(lines.filter((line) => /stor/i.test(line)), [
    "Cannot store 1 audit records, trying again: NetError: out of reach",
    "Storing the audit records again",
  ]);
});

Deno.test("AuditStore lets so many records wait, and no more", async () => {
  await using opened = await openAudit();
  const { audit, store } = opened;
  store.isDown = true;
  for (let i = 0; i < 10_100; i++) await audit.record(record(i), GATHERED);
  store.isDown = false;
  await audit.record(record(20_000), DURABLE);
  await audit.list(ALL);
  assert.equal(await countIn(store), 10_000);
});

Deno.test("AuditStore cuts texts that are too long", async () => {
  await using opened = await openAudit();
  const { audit } = opened;
  await audit.record(record(1, { subject: "ü".repeat(5_000) }), DURABLE);
  const [kept] = await audit.list(ALL);
  assert.equal(kept?.subject, "ü".repeat(1_023) + "…");
});

Deno.test("AuditStore removes old records, and the oldest of too many", async (t) => {
  const rows: readonly [
    name: string,
    times: readonly number[],
    left: readonly number[],
  ][] = [
    ["what is old", [1, 8_999, 9_000, 9_001], [9_000, 9_001]],
    ["what is too much", [9_000, 9_001, 9_002, 9_003], [9_001, 9_002, 9_003]],
    ["nothing", [9_000, 9_003], [9_000, 9_003]],
  ];
  for (const [name, times, left] of rows) {
    await t.step(name, async () => {
      const store = await openDenoKv({ path: ":memory:" });
      for (const [i, atMs] of times.entries()) {
        await store.commit({ puts: [{ key: ["audit", atMs, i], value: {} }] });
      }
      // The first round is at once, and it is waited for at the end.
      await AuditStore.start({
        store,
        keepMs: 1_000,
        maxRecords: 3,
        now: () => 10_000,
      }).stop();
      const entries = await Array.fromAsync(store.list(["audit"]));
      assert.deepEqual(entries.map(({ key }) => key[1]), left);
      await store.close();
    });
  }
});

Deno.test("AuditStore removes surplus records soon after many have come", async () => {
  const store = new FaultyStore(await openDenoKv({ path: ":memory:" }));
  const audit = AuditStore.start({
    store,
    ...{ keepMs: 3_600_000, maxRecords: 20, lookIntervalMs: 5 },
    now: () => 10_000,
  });
  for (let atMs = 9_000; atMs < 9_100; atMs++) {
    await audit.record(record(atMs), DURABLE);
  }
  await waitFor("pruning", async () => await countIn(store) <= 20);
  const [last] = await audit.list(ALL);
  assert.equal(last?.atMs, 9_099);
  await audit.stop();
  await store.close();
});

Deno.test("AuditStore logs each record at once, in a line, those of containers at debug level", async () => {
  const lines: string[] = [];
  const sink = ({ message, level, category }: LogRecord) =>
    lines.push(`${category.join(".")} ${level} ${message.join("")}`);
  await configure({
    sinks: { sink },
    loggers: [
      { category: ["stellar-net"], sinks: ["sink"], lowestLevel: "debug" },
      { category: ["logtape", "meta"], sinks: [] },
    ],
  });
  try {
    await using opened = await openAudit();
    const { audit } = opened;
    await audit.record(record(1), DURABLE);
    await audit.record(record(1, { call: "Allocate" }), GATHERED);
    const refused = { outcome: "permission_denied", message: "x" } as const;
    await audit.record(
      record(2, { caller: "socket", from: "", subject: "", ...refused }),
      GATHERED,
    );
    assert.deepEqual(lines, [
      "stellar-net.audit info operator alice at 198.18.0.7 called RemoveNode for n1: ok",
      "stellar-net.audit debug operator alice at 198.18.0.7 called Allocate for n1: ok",
      "stellar-net.audit info socket called RemoveNode: permission_denied: x",
    ]);
  } finally {
    await reset();
  }
});

Deno.test("AuditStore gives each caller a share, and keeps every record of operators", async () => {
  const store = new FaultyStore(await openDenoKv({ path: ":memory:" }));
  const base = { store, keepMs: 3_600_000, now: () => 10_000 };
  let atMs = 1_000;
  /** Stores records, each of a caller so many, and then removes what is too much. */
  const flood = async (
    floods: readonly (readonly [count: number, Partial<AuditRecord>])[],
  ) => {
    const audit = AuditStore.start({ ...base, maxRecords: 100_000 });
    for (const [count, fields] of floods) {
      for (let i = 0; i < count; i++) {
        await audit.record(record(atMs++, fields), GATHERED);
      }
    }
    await audit.stop();
    await AuditStore.start({ ...base, maxRecords: 1_000 }).stop();
  };
  const left = async () => {
    const found = new Map<string, number>();
    for await (const { value } of store.list(["audit"])) {
      const { caller, from } = value as { caller: string; from: string };
      const key = caller === "anonymous" ? from : caller;
      found.set(key, (found.get(key) ?? 0) + 1);
    }
    return Object.fromEntries(found);
  };
  await flood([
    [100, {}],
    [400, { caller: "node host2" }],
    [300, { caller: "node host3" }],
    [100, { caller: "anonymous", from: "198.18.0.8" }],
    [100, { caller: "anonymous", from: "198.18.0.9" }],
    [900, { caller: "socket", call: "Allocate" }],
  ]);
  assert.deepEqual(await left(), {
    "operator alice": 100,
    "node host2": 20,
    "node host3": 20,
    "198.18.0.8": 2,
    "198.18.0.9": 2,
    "socket": 500,
  });
  // All nodes and all addresses together have a share too.
  await flood(
    Array.from({ length: 40 }, (_, i) =>
      [
        [30, { caller: `node n${i}` }],
        ...[0, 1, 2].map((j) =>
          [4, { caller: "anonymous", from: `198.18.${i}.${j}` }] as const
        ),
      ] as const).flat(),
  );
  const all = Object.entries(await left());
  const sum = (isOf: (key: string) => boolean) =>
    all.filter(([key]) => isOf(key)).reduce((n, [, count]) => n + count, 0);
  assert.equal(sum((key) => key.startsWith("node ")), 250);
  assert.equal(sum((key) => key.startsWith("198.18.")), 50);
  assert.equal((await left())["operator alice"], 100);
  await store.close();
});

Deno.test("AuditStore lets a host keep no operator's record from waiting for the store", async () => {
  await using opened = await openAudit();
  const { audit, store } = opened;
  store.isDown = true;
  for (let i = 0; i < 15_000; i++) {
    await audit.record(record(i, { caller: "node host2" }), GATHERED);
  }
  await audit.record(record(20_000), GATHERED);
  store.isDown = false;
  const listed = await audit.list(ALL);
  const alice = listed.filter(({ caller }) => caller === "operator alice");
  assert.equal(alice.length, 1);
  assert.equal(listed.length, 201);
});
