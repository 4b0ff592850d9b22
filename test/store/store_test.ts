import assert from "node:assert/strict";
import {
  checkKey,
  checkPrefix,
  compareKeys,
  formatKey,
  isBelow,
  type Key,
  keyText,
  measureStore,
} from "../../src/store/store.ts";
import { TRICKY_KEYS } from "../suite/store_suite_list.ts";
import { byKey } from "../suite/store_suite_support.ts";
import { NetError } from "../../src/base/error.ts";
import { openDenoKv } from "../../src/store/deno_kv/deno_kv.ts";
import { FakeMetrics } from "../fake/fake_metrics.ts";
import { FaultyStore } from "../fake/faulty_store.ts";

Deno.test("checkKey() names what is wrong with a key", () => {
  const steps: [Key, string][] = [
    [[], "[] is not a key: it is empty"],
    [["a", ""], '["a",""] is not a key: part 1 is empty'],
    [["\ud800"], '["\\ud800"] is not a key: part 0 has a lone surrogate'],
    [
      [-1],
      "[-1] is not a key: part 0 is neither a text nor a safe integer from 0",
    ],
    [
      ["a", -0],
      '["a",0] is not a key: part 1 is neither a text nor a safe integer from 0',
    ],
    [
      [0.5],
      "[0.5] is not a key: part 0 is neither a text nor a safe integer from 0",
    ],
    [
      [2 ** 53],
      "[9007199254740992] is not a key: part 0 is neither a text nor a safe integer from 0",
    ],
    [
      [undefined as unknown as string],
      "[null] is not a key: part 0 is neither a text nor a safe integer from 0",
    ],
  ];
  for (const [key, message] of steps) {
    assert.throws(() => checkKey(key), { name: "RangeError", message });
  }
  for (const key of TRICKY_KEYS) checkKey(key);
});

Deno.test("checkPrefix() takes an empty prefix", () => {
  checkPrefix([]);
  assert.throws(() => checkPrefix([""]), RangeError);
});

Deno.test("compareKeys() orders every pair as the port says", () => {
  for (const a of TRICKY_KEYS) {
    for (const b of TRICKY_KEYS) {
      assert.equal(
        Math.sign(compareKeys(a, b)),
        Math.sign(byKey(a, b)),
        `${keyText(a)} and ${keyText(b)}`,
      );
    }
  }
});

Deno.test("isBelow() tells what is longer and begins the same", () => {
  const steps: [Key, Key, boolean][] = [
    [[], ["a"], true],
    [[], [], false],
    [["a"], ["a"], false],
    [["a"], ["a", "b"], true],
    [["a"], ["ab"], false],
    [["a", "b"], ["a"], false],
    [[1], ["1", "x"], false],
    [["a", 1], ["a", 1, 2], true],
  ];
  for (const [prefix, key, expected] of steps) {
    const name = `${keyText(key)} below ${keyText(prefix)}`;
    assert.equal(isBelow(prefix, key), expected, name);
  }
});

Deno.test("keyText() differs for different keys", () => {
  assert.equal(new Set(TRICKY_KEYS.map(keyText)).size, TRICKY_KEYS.length);
});

Deno.test("formatKey() cuts a long key short", () => {
  assert.equal(formatKey(["a", 1]), '["a",1]');
  assert.equal(formatKey(["x".repeat(500)]).length, 200);
});

Deno.test("measureStore() reports each commit, and passes it on unchanged", async () => {
  const faulty = new FaultyStore(await openDenoKv({ path: ":memory:" }));
  const metrics = new FakeMetrics();
  const store = measureStore(faulty, { metrics, kind: "etcd" });
  const puts = [{ key: ["a"], value: 1 }, { key: ["b"], value: 2 }];
  const result = await store.commit({ puts, deletes: [["c"]] });
  assert.equal(result.committed, true);
  const checks = [{ key: ["a"], version: null }];
  const refused = await store.commit({ checks, deletes: [["a"]] });
  assert.deepEqual(refused, { committed: false });
  faulty.fail("refuse before");
  await assert.rejects(store.commit({ puts }), NetError);
  assert.deepEqual(metrics.told, [
    ["etcd", "committed", 3],
    ["etcd", "conflict", 1],
    ["etcd", "failed", 2],
  ]);
  assert.equal(store.url, faulty.url);
  assert.equal((await store.get(["a"]))?.value, 1);
  const keys = (await Array.fromAsync(store.list([]))).map(({ key }) => key);
  assert.deepEqual(keys, [["a"], ["b"]]);
  const stop = new AbortController();
  for await (const event of store.watch([], { signal: stop.signal })) {
    assert.equal(event.kind, "snapshot");
    stop.abort();
  }
  await store.close();
});
