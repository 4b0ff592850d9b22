import assert from "node:assert/strict";
import {
  createSharedRoom,
  RecordLog,
  type RecordRange,
} from "../../src/ledger/record_log.ts";
import { openDenoKv } from "../../src/store/deno_kv/deno_kv.ts";
import type { JsonValue } from "../../src/store/store.ts";
import { FaultyStore } from "../fake/faulty_store.ts";
import { waitFor } from "../support/wait_for.ts";

const NOW_MS = 100_000;

async function openLog(
  options: {
    readonly maxRecords?: number;
    readonly isWriter?: boolean;
    readonly lookIntervalMs?: number;
  } = {},
) {
  const store = new FaultyStore(await openDenoKv({ path: ":memory:" }));
  const { maxRecords = 100, isWriter = true, ...rest } = options;
  const records = new RecordLog({
    ...{ store, maxRecords, isWriter, ...rest },
    ...{ prefix: ["record"], name: "records", keepMs: 50_000, sequence: 7 },
    now: () => NOW_MS,
  });
  return {
    store,
    records,
    async list(range?: RecordRange): Promise<JsonValue[]> {
      const values: JsonValue[] = [];
      for await (const { value } of records.list(range)) values.push(value);
      return values;
    },
    async [Symbol.asyncDispose]() {
      await records.stop();
      await store.close();
    },
  };
}

Deno.test("RecordLog.list() gives records of a range, the latest first", async (t) => {
  await using log = await openLog();
  for (const atMs of [99_001, 99_002, 99_002, 99_003]) {
    log.records.add(atMs, atMs);
  }
  const rows: readonly [RecordRange, expected: readonly number[]][] = [
    [{}, [99_003, 99_002, 99_002, 99_001]],
    [{ sinceMs: 99_002 }, [99_003, 99_002, 99_002]],
    [{ untilMs: 99_003 }, [99_002, 99_002, 99_001]],
    [{ sinceMs: 99_002, untilMs: 99_003 }, [99_002, 99_002]],
    [{ after: ["record", 99_002, 9] }, [99_002, 99_001]],
  ];
  for (const [range, expected] of rows) {
    await t.step(JSON.stringify(range), async () => {
      assert.deepEqual(await log.list(range), expected);
    });
  }
});

Deno.test("RecordLog.add() stores many records in few commits, and by itself", async () => {
  await using log = await openLog({ maxRecords: 1_000 });
  for (let i = 0; i < 300; i++) log.records.add(99_000 + i, i);
  assert.equal(log.store.commits, 0);
  await waitFor("a commit", () => log.store.commits > 0);
  assert.equal((await log.list()).length, 300);
  assert.ok(log.store.commits <= 2, `${log.store.commits} commits`);
});

Deno.test("RecordLog keeps records while the store fails, and stores them later in order", async () => {
  await using log = await openLog();
  log.records.add(99_001, "first");
  log.store.isDown = true;
  await log.records.flush();
  log.records.add(99_002, "second");
  log.store.isDown = false;
  assert.deepEqual(await log.list(), ["second", "first"]);
});

Deno.test("RecordLog.add() refuses records while too many wait", async () => {
  await using log = await openLog({ maxRecords: 100_000 });
  log.store.isDown = true;
  for (let i = 0; i < 10_000; i++) {
    assert.ok(log.records.add(60_000 + i, i));
  }
  assert.equal(log.records.add(80_000, "refused"), false);
  await log.records.flush();
  assert.equal(log.records.add(80_000, "refused after a failure"), false);
  log.store.isDown = false;
  const values = await log.list();
  assert.equal(values.length, 10_000);
  assert.equal(values[0], 9_999);
  assert.ok(log.records.add(80_000, "accepted again"));
});

Deno.test("RecordLog.flush() resolves when every record added before is stored", async () => {
  await using log = await openLog({ maxRecords: 1_000 });
  const stored = async () =>
    (await Array.fromAsync(log.store.list(["record"]))).length;
  await Promise.all(Array.from({ length: 50 }, async (_, i) => {
    log.records.add(99_000 + i, i);
    await log.records.flush();
    assert.ok(await stored() > i);
  }));
  assert.ok(log.store.commits <= 2, `${log.store.commits} commits`);
});

Deno.test("RecordLog prunes by itself when a tenth of its records have come", async () => {
  await using log = await openLog({ maxRecords: 20, lookIntervalMs: 5 });
  const stored = async () =>
    (await Array.fromAsync(log.store.list(["record"]))).length;
  for (let i = 0; i < 100; i++) log.records.add(90_000 + i, i);
  await log.records.flush();
  await waitFor("pruning", async () => await stored() === 20);
  // As many as a tenth wait for the next interval.
  for (let i = 0; i < 2; i++) log.records.add(91_000 + i, i);
  await log.records.flush();
  assert.equal(await stored(), 22);
});

Deno.test("createSharedRoom() lets neither an owner nor a kind take the room of another", () => {
  const limits = {
    many: { all: 1 / 2, each: 1 / 5 },
    few: { all: 1 / 10, each: 1 },
  };
  const room = createSharedRoom(10, limits, (value) => {
    const [kind, owner] = String(value).split(" ");
    return { kind: kind === "few" ? "few" : "many", owner: owner! };
  });
  const count = (value: string, records: number) =>
    Array.from({ length: records }, () => room.add(value))
      .filter(Boolean).length;
  assert.deepEqual(
    ["many a", "many b", "few a", "few b", "many c", "many a"]
      .map((value) => count(value, 5)),
    [2, 2, 1, 0, 1, 0],
  );
});

Deno.test("RecordLog.prune() removes records that are too old or too many", async (t) => {
  await t.step("too old", async () => {
    await using log = await openLog();
    for (const atMs of [49_999, 50_000, 50_001]) log.records.add(atMs, atMs);
    await log.records.flush();
    await log.records.prune();
    assert.deepEqual(await log.list(), [50_001, 50_000]);
  });
  await t.step("too many", async () => {
    await using log = await openLog({ maxRecords: 3 });
    for (let i = 0; i < 900; i++) log.records.add(90_000 + i, i);
    await log.records.flush();
    await log.records.prune();
    assert.deepEqual(await log.list(), [899, 898, 897]);
  });
});

Deno.test("RecordLog.stop() stores the records that wait", async () => {
  const store = new FaultyStore(await openDenoKv({ path: ":memory:" }));
  const records = new RecordLog({
    ...{ store, maxRecords: 10, isWriter: true, sequence: 0 },
    ...{ prefix: ["record"], name: "records", keepMs: 50_000 },
    now: () => NOW_MS,
  });
  records.add(99_000, "last");
  await records.stop();
  assert.equal((await store.get(["record", 99_000, 0]))?.value, "last");
  await store.close();
});
