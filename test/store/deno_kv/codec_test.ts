import assert from "node:assert/strict";
import { openDenoKv } from "../../../src/store/deno_kv/deno_kv.ts";
import {
  DENO_KV_LIMITS,
  MAX_KEY_BYTES,
} from "../../../src/store/deno_kv/codec.ts";
import type { JsonValue } from "../../../src/store/store.ts";
import { collect, put } from "../../suite/store_suite_support.ts";

Deno.test("commit() takes keys as large as Deno KV does, and no larger", async () => {
  const store = await openDenoKv({ path: ":memory:" });
  const steps: [string, (excess: number) => (string | number)[]][] = [
    ["ASCII", (excess) => ["k".repeat(MAX_KEY_BYTES - 2 + excess)]],
    [
      "UTF-8",
      (excess) => ["é".repeat(1022), "k".repeat(excess)].slice(0, 1 + excess),
    ],
    ["NUL", (excess) => ["\0".repeat(1023) + "k".repeat(excess)]],
    ["numbers", (excess) => [...Array(227).fill(1), "k".repeat(3 + excess)]],
  ];
  for (const [name, key] of steps) {
    const version = await put(store, key(0), name);
    assert.equal((await store.get(key(0)))?.value, name);
    assert.ok(
      (await store.commit({ checks: [{ key: key(0), version }] })).committed,
    );
    assert.deepEqual(await collect(store.list(key(0))), []);
    const tooLarge = { name: "RangeError", message: /the store takes 2048/ };
    await assert.rejects(() => put(store, key(1), name), tooLarge, name);
    await assert.rejects(() => store.get(key(1)), tooLarge, name);
    await assert.rejects(() => collect(store.list(key(1))), tooLarge, name);
  }
  await store.close();
});

Deno.test("commit() takes keys and values exactly within its limits", async () => {
  const store = await openDenoKv({ path: ":memory:" });
  const { maxCommitBytes, maxValueBytes } = DENO_KV_LIMITS;
  const count = DENO_KV_LIMITS.maxPutKeyBytes / MAX_KEY_BYTES;
  // Keys and values of as many bytes as there may be, the first value but for 30.
  const puts: { key: (string | number)[]; value: JsonValue }[] = Array.from(
    { length: count },
    (_, i) => ({
      key: [i, "k".repeat(MAX_KEY_BYTES - 11)],
      value: i >= 10 ? 1 : "x".repeat(maxValueBytes - (i === 0 ? 32 : 2)),
    }),
  );
  assert.equal(
    maxCommitBytes,
    DENO_KV_LIMITS.maxPutKeyBytes + 10 * maxValueBytes,
  );
  assert.ok((await store.commit({ puts })).committed);
  assert.equal((await collect(store.list([]))).length, count);

  puts[count - 1]!.value = 10;
  await assert.rejects(() => store.commit({ puts }), {
    name: "RangeError",
    message:
      "Cannot commit: the bytes of its keys and values are 737281, the store takes 737280",
  });
  const keys = [...puts.map(({ key }) => key), ["k"]];
  await assert.rejects(
    () => store.commit({ puts: keys.map((key) => ({ key, value: 1 })) }),
    {
      name: "RangeError",
      message:
        "Cannot commit: the bytes of the keys it puts are 81923, the store takes 81920",
    },
  );
  assert.ok((await store.commit({ deletes: keys })).committed);
  assert.deepEqual(await collect(store.list([])), []);
  await store.close();
});

Deno.test("commit() refuses a version of another kind of store", async () => {
  const store = await openDenoKv({ path: ":memory:" });
  for (const version of ["", "7", "000000000000000G0000"]) {
    await assert.rejects(
      () => store.commit({ checks: [{ key: ["a"], version }] }),
      { name: "RangeError", message: /is not a version of this store/ },
    );
  }
  await store.close();
});
