import assert from "node:assert/strict";
import type { Store } from "../../src/store/store.ts";
import { collect, put, type StoreTest } from "./store_suite_support.ts";

export function testStoreLimits(test: StoreTest): void {
  test("commit() takes a value as large as the limit, and no larger", async (store) => {
    const { maxValueBytes } = store.limits;
    const largest = "x".repeat(maxValueBytes - 2);
    await put(store, ["text"], largest);
    assert.equal((await store.get(["text"]))?.value, largest);
    await refuses(store, () => put(store, ["text"], largest + "x"));
    assert.equal((await store.get(["text"]))?.value, largest);
  });

  test("commit() counts a value's bytes in UTF-8", async (store) => {
    const { maxValueBytes } = store.limits;
    const padding = "x".repeat(maxValueBytes % 2);
    const largest = padding + "é".repeat((maxValueBytes - 2) >> 1);
    await put(store, ["text"], largest);
    assert.equal((await store.get(["text"]))?.value, largest);
    await refuses(store, () => put(store, ["more"], largest + "x"));
  });

  test("commit() takes as many puts and deletes as the limit, and no more", async (store) => {
    const { maxMutations } = store.limits;
    const keys = Array.from({ length: maxMutations }, (_, i) => ["many", i]);
    const puts = keys.map((key) => ({ key, value: 1 }));
    assert.ok((await store.commit({ puts })).committed);
    assert.equal((await collect(store.list([]))).length, maxMutations);

    const half = maxMutations >> 1;
    const mixed = { puts: puts.slice(half), deletes: keys.slice(0, half) };
    await refuses(store, () =>
      store.commit({
        ...mixed,
        puts: [...mixed.puts, { key: ["more"], value: 1 }],
      }));
    assert.ok((await store.commit(mixed)).committed);
    assert.equal((await collect(store.list([]))).length, maxMutations - half);
  });

  test("commit() takes as many checks as the limit, and no more", async (store) => {
    const { maxChecks } = store.limits;
    const checks = Array.from(
      { length: maxChecks },
      (_, i) => ({ key: ["missing", i], version: null }),
    );
    const puts = [{ key: ["a"], value: 1 }];
    assert.ok((await store.commit({ checks, puts })).committed);
    await refuses(store, () =>
      store.commit({
        checks: [...checks, { key: ["more"], version: null }],
        puts: [{ key: ["a"], value: 2 }],
      }));
  });

  test("commit() takes bytes close to the limit, and none beyond", async (store) => {
    const { maxCommitBytes, maxValueBytes } = store.limits;
    const keyBytes = 32;
    const filling = (bytes: number) => {
      const puts = [];
      for (let i = 0, left = bytes; left > keyBytes + 2; i++) {
        const size = Math.min(maxValueBytes, left - keyBytes);
        puts.push({ key: ["fill", i], value: "x".repeat(size - 2) });
        left -= size + keyBytes;
      }
      return puts;
    };
    const most = filling(maxCommitBytes);
    assert.ok((await store.commit({ puts: most })).committed);
    assert.equal((await collect(store.list([]))).length, most.length);
    await refuses(
      store,
      () =>
        store.commit({
          puts: filling(maxCommitBytes + most.length * keyBytes),
        }),
    );
  });
}

/** Asserts that a call is refused for its size, and that it wrote nothing. */
async function refuses(
  store: Store,
  call: () => Promise<unknown>,
): Promise<void> {
  const before = await collect(store.list([]));
  await assert.rejects(call, RangeError);
  assert.deepEqual(await collect(store.list([])), before);
}
