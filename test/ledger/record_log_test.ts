import assert from "node:assert/strict";
import { RecordLog, type RecordRange } from "../../src/ledger/record_log.ts";
import { openDenoKv } from "../../src/store/deno_kv/deno_kv.ts";
import type { JsonValue } from "../../src/store/store.ts";
import { FaultyStore } from "../fake/faulty_store.ts";
import { waitFor } from "../support/wait_for.ts";

const NOW_MS = 100_000;

async function openLog(
  options: { readonly maxRecords?: number; readonly isWriter?: boolean } = {},
) {
  const store = new FaultyStore(await openDenoKv({ path: ":memory:" }));
  const { maxRecords = 100, isWriter = true } = options;
  const records = new RecordLog({
    ...{ store, maxRecords, isWriter },
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

Deno.test("RecordLog drops the oldest records when too many wait", async () => {
  await using log = await openLog({ maxRecords: 100_000 });
  log.store.isDown = true;
  for (let i = 0; i < 10_001; i++) log.records.add(60_000 + i, i);
  log.store.isDown = false;
  const values = await log.list();
  assert.equal(values.length, 10_000);
  assert.equal(values.at(-1), 1);
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
