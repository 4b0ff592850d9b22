import assert from "node:assert/strict";
import { measureStore } from "../../src/store/wrapped_store.ts";
import { NetError } from "../../src/base/error.ts";
import { openDenoKv } from "../../src/store/deno_kv/deno_kv.ts";
import { FakeMetrics } from "../fake/fake_metrics.ts";
import { FaultyStore } from "../fake/faulty_store.ts";

Deno.test("measureStore() tells of each commit, and leaves it as it is", async () => {
  const faulty = new FaultyStore(await openDenoKv({ path: ":memory:" }));
  const metrics = new FakeMetrics();
  const store = measureStore(faulty, metrics);
  const puts = [{ key: ["a"], value: 1 }, { key: ["b"], value: 2 }];
  const result = await store.commit({ puts, deletes: [["c"]] });
  assert.equal(result.committed, true);
  const checks = [{ key: ["a"], version: null }];
  const refused = await store.commit({ checks, deletes: [["a"]] });
  assert.deepEqual(refused, { committed: false });
  faulty.fail("refuse before");
  await assert.rejects(store.commit({ puts }), NetError);
  assert.deepEqual(metrics.told, [
    ["committed", "committed", 3],
    ["committed", "conflict", 1],
    ["committed", "failed", 2],
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
