import assert from "node:assert/strict";
import { TRICKY_KEYS } from "./store_suite_list.ts";
import { collect, put, putAll, type StoreTest } from "./store_suite_support.ts";

export function testDurableStore(test: StoreTest): void {
  test(
    "close() and opening again keep every entry and its version",
    async (store, subject) => {
      await putAll(
        store,
        TRICKY_KEYS.map((key) => ({ key, value: [...key] })),
      );
      const large = "x".repeat(store.limits.maxValueBytes - 2);
      await put(store, ["large"], large);
      const last = await put(store, ["a"], "changed");
      await store.commit({ deletes: [["ab"]] });
      const before = await collect(store.list([]));
      assert.equal(before.length, TRICKY_KEYS.length);

      assert.ok(subject.reopen);
      const again = await subject.reopen();
      assert.deepEqual(await collect(again.list([])), before);
      const checks = [{ key: ["a"], version: last }];
      const puts = [{ key: ["a"], value: "again" }];
      const result = await again.commit({ checks, puts });
      assert.ok(result.committed);
      assert.ok(result.version > last, `${result.version} after ${last}`);
    },
  );
}
