import assert from "node:assert/strict";
import {
  collect,
  put,
  putAll,
  Replica,
  type StoreSuiteOptions,
  type StoreTest,
  WatchReader,
  within,
} from "./store_suite_support.ts";

export function testStoreWatches(
  test: StoreTest,
  { maxBacklog }: StoreSuiteOptions,
): void {
  test("watch() gives a snapshot, then every change below the prefix", async (store) => {
    const first = await put(store, ["w", "a"], 1);
    await put(store, ["w"], "the prefix itself");
    await put(store, ["ww"], "a neighbour");
    const watch = new WatchReader(store, ["w"]);
    assert.deepEqual(await watch.next(), {
      kind: "snapshot",
      entries: [{ key: ["w", "a"], value: 1, version: first }],
    });

    await put(store, ["w"], "not watched");
    const second = await put(store, ["w", "a"], { n: 2 });
    assert.deepEqual(await watch.next(), {
      kind: "changes",
      changes: [{ key: ["w", "a"], value: { n: 2 }, version: second }],
    });

    const deleted = await store.commit({ deletes: [["w", "a"]] });
    assert.ok(deleted.committed);
    assert.deepEqual(await watch.next(), {
      kind: "changes",
      changes: [{ key: ["w", "a"], value: null, version: deleted.version }],
    });
    watch.abort();
    assert.equal(await watch.next(), undefined);
  });

  test("watch() with an empty prefix follows everything", async (store) => {
    const watch = new WatchReader(store, []);
    assert.deepEqual(await watch.next(), { kind: "snapshot", entries: [] });
    const version = await put(store, [7], "x");
    assert.deepEqual(await watch.next(), {
      kind: "changes",
      changes: [{ key: [7], value: "x", version }],
    });
    watch.abort();
  });

  test("watch() keeps the changes of a commit together", async (store) => {
    const watch = new WatchReader(store, ["w"]);
    await watch.next();
    await put(store, ["w", "a"], 0);
    await watch.next();
    const result = await store.commit({
      puts: [{ key: ["w", "b"], value: 1 }, { key: ["x", "b"], value: 1 }, {
        key: ["w", "c"],
        value: 1,
      }],
      deletes: [["w", "a"]],
    });
    assert.ok(result.committed);
    const event = await watch.next();
    assert.equal(event?.kind, "changes");
    assert.deepEqual(
      new Map(event.changes.map((change) => [change.key[1], change.value])),
      new Map([["b", 1], ["c", 1], ["a", null]]),
    );
    assert.deepEqual(
      new Set(event.changes.map((change) => change.version)),
      new Set([result.version]),
    );
    watch.abort();
  });

  test("watch() shows nothing of a commit that was refused", async (store) => {
    const version = await put(store, ["w", "a"], 1);
    const watch = new WatchReader(store, ["w"]);
    await watch.next();
    const refused = await store.commit({
      checks: [{ key: ["w", "a"], version: null }],
      puts: [{ key: ["w", "a"], value: 2 }],
    });
    assert.equal(refused.committed, false);
    await assert.rejects(() => put(store, ["w", "a"], null), RangeError);
    const next = await store.commit({
      checks: [{ key: ["w", "a"], version }],
      puts: [{ key: ["w", "a"], value: 3 }],
    });
    assert.ok(next.committed);
    assert.deepEqual(await watch.next(), {
      kind: "changes",
      changes: [{ key: ["w", "a"], value: 3, version: next.version }],
    });
    watch.abort();
  });

  test("watch() serves several watchers, each in its own time", async (store) => {
    const early = new WatchReader(store, ["w"]);
    await early.next();
    await put(store, ["w", "a"], 1);
    const late = new WatchReader(store, ["w"]);
    const snapshot = await late.next();
    assert.equal(snapshot?.kind, "snapshot");
    assert.equal(snapshot.entries.length, 1);
    await early.next();
    early.abort();
    assert.equal(await early.next(), undefined);
    const version = await put(store, ["w", "b"], 2);
    assert.deepEqual(await late.next(), {
      kind: "changes",
      changes: [{ key: ["w", "b"], value: 2, version }],
    });
    late.abort();
  });

  test("watch() ends by its signal at any time, without an error", async (store) => {
    await put(store, ["w", "a"], 1);
    const waiting = new WatchReader(store, ["w"]);
    await waiting.next();
    const end = waiting.next();
    waiting.abort();
    assert.equal(await end, undefined);

    const unstarted = new WatchReader(store, ["w"]);
    unstarted.abort();
    assert.equal(await unstarted.next(), undefined);

    const starting = new WatchReader(store, ["w"]);
    const nothing = starting.next();
    starting.abort();
    assert.equal(await nothing, undefined);

    const unread = new WatchReader(store, ["w"]);
    await unread.next();
    await put(store, ["w", "a"], 2);
    unread.abort();
    assert.equal(await unread.next(), undefined);
  });

  test("watch() can be left with break", async (store) => {
    const { signal } = new AbortController();
    for await (const event of store.watch(["w"], { signal })) {
      assert.equal(event.kind, "snapshot");
      break;
    }
    await put(store, ["w", "a"], 1);
    assert.equal((await store.get(["w", "a"]))?.value, 1);
  });

  test("watch() follows a change made while the snapshot is read", async (store) => {
    const keys = Array.from({ length: 1500 }, (_, i) => ["w", i]);
    await putAll(store, keys.map((key) => ({ key, value: 0 })));
    const replica = new Replica();
    const watch = new WatchReader(store, ["w"]);
    const first = watch.next();
    const writes = [
      ...keys.slice(0, 300).map((key) => put(store, key, 1)),
      ...keys.slice(-300).map((key) => store.commit({ deletes: [key] })),
    ];
    // Commits that are made at once are carried out in any order.
    const end = Promise.all(writes).then(() => put(store, ["w", "end"], 1));
    replica.apply((await first)!);
    while (!replica.has(["w", "end"])) replica.apply((await watch.next())!);
    await end;
    assert.equal(replica.snapshots, 1);
    assert.deepEqual(replica.entries(), await collect(store.list(["w"])));
    watch.abort();
  });

  test("watch() gives a new snapshot in place of a backlog without bounds", async (store) => {
    await put(store, ["w", "deleted meanwhile"], 1);
    const watch = new WatchReader(store, ["w"]);
    await watch.next();
    const step = Math.min(store.limits.maxMutations, 500);
    for (let made = 0; made <= maxBacklog + 2 * step; made += step) {
      const puts = Array.from(
        { length: step },
        (_, i) => ({ key: ["w", i], value: made + i }),
      );
      assert.ok((await store.commit({ puts })).committed);
    }
    await store.commit({ deletes: [["w", "deleted meanwhile"]] });
    const replica = new Replica();
    while (replica.snapshots === 0) {
      const event = await watch.next();
      assert.ok(event);
      replica.apply(event);
    }
    assert.deepEqual(replica.entries(), await collect(store.list(["w"])));
    const version = await put(store, ["w", "after"], 1);
    assert.deepEqual(await watch.next(), {
      kind: "changes",
      changes: [{ key: ["w", "after"], value: 1, version }],
    });
    watch.abort();
  });

  test("close() ends watches that wait, that were not read and that start", async (store) => {
    const waiting = new WatchReader(store, ["w"]);
    const unread = new WatchReader(store, ["w"]);
    const starting = new WatchReader(store, ["w"]);
    await waiting.next();
    await unread.next();
    await put(store, ["w", "a"], 1);
    await waiting.next();
    const [ended, started] = [waiting.next(), starting.next()];
    await within(5_000, store.close());
    assert.equal(await ended, undefined);
    assert.equal(await started, undefined);
    assert.equal(await unread.next(), undefined);
  });
}
