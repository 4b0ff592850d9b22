import assert from "node:assert/strict";
import type { Key, Store } from "../../src/store/store.ts";
import {
  collect,
  put,
  Replica,
  type StoreTest,
  WatchReader,
} from "./store_suite_support.ts";

export function testStoreConcurrency(test: StoreTest): void {
  test("commit() lets 32 writers count together without losing one", async (store) => {
    const [writers, rounds] = [32, 6];
    await put(store, ["counter"], 0);
    const increment = async () => {
      for (;;) {
        const entry = await store.get(["counter"]);
        const result = await store.commit({
          checks: [{ key: ["counter"], version: entry!.version }],
          puts: [{ key: ["counter"], value: (entry!.value as number) + 1 }],
        });
        if (result.committed) return result.version;
      }
    };
    const versions = await Promise.all(
      Array.from({ length: writers }, async () => {
        const own: string[] = [];
        for (let i = 0; i < rounds; i++) own.push(await increment());
        return own;
      }),
    );
    assert.equal((await store.get(["counter"]))?.value, writers * rounds);
    assert.equal(new Set(versions.flat()).size, writers * rounds);
  });

  test("commit() lets one of many claimants have a key", async (store) => {
    for (let i = 0; i < 20; i++) {
      const key = ["claim", i];
      const results = await Promise.all(
        Array.from({ length: 16 }, (_, claimant) =>
          store.commit({
            checks: [{ key, version: null }],
            puts: [{ key, value: claimant }],
          })),
      );
      const winners = [...results.keys()].filter((n) => results[n]!.committed);
      assert.equal(winners.length, 1);
      assert.equal((await store.get(key))?.value, winners[0]);
    }
  });

  test("get() sees every commit that has returned", async (store) => {
    await Promise.all(Array.from({ length: 16 }, async (_, writer) => {
      for (let i = 0; i < 20; i++) {
        const version = await put(store, ["own", writer], i);
        const entry = await store.get(["own", writer]);
        assert.deepEqual(entry, { key: ["own", writer], value: i, version });
      }
    }));
  });

  test("watch() loses nothing among thousands of concurrent commits", async (store) => {
    const [writers, rounds, watchers] = [24, 120, 10];
    const random = randomNumbers(20_26);
    const starts = new Set<number>();
    while (starts.size < watchers) {
      starts.add(Math.floor(random() * writers * rounds));
    }
    const replicas: Promise<Replica>[] = [];
    let commits = 0;
    const write = async (writer: number) => {
      for (let round = 0; round < rounds; round++) {
        if (starts.has(commits++)) {
          replicas.push(follow(store, replicas.length));
        }
        await store.commit(randomCommit(random, `${writer}.${round}`));
      }
    };
    await Promise.all(Array.from({ length: writers }, (_, w) => write(w)));
    await put(store, END, true);
    const expected = await collect(store.list(["model"]));
    assert.equal(replicas.length, watchers);
    let changes = 0;
    for (const replica of await Promise.all(replicas)) {
      assert.deepEqual(replica.entries(), expected);
      changes += replica.changes;
    }
    assert.ok(changes > writers * rounds, `${changes} changes were seen`);
  });
}

const END: Key = ["model", "end"];
const LEFT: Key = ["model", "left"];
const RIGHT: Key = ["model", "right"];

/** Replays a watch until the end is marked. Every second watcher is a slow one. */
async function follow(store: Store, index: number): Promise<Replica> {
  const watch = new WatchReader(store, ["model"]);
  const replica = new Replica();
  while (!replica.has(END)) {
    const event = await watch.next();
    assert.ok(event);
    replica.apply(event);
    // Written together by every commit: each event ends where a commit does.
    assert.equal(replica.valueOf(LEFT), replica.valueOf(RIGHT));
    if (index % 2 === 1) await store.get(LEFT);
  }
  watch.abort();
  return replica;
}

function randomCommit(random: () => number, value: string) {
  const puts = [
    { key: LEFT, value },
    { key: RIGHT, value },
    { key: ["other", value], value },
  ];
  const deletes: Key[] = [];
  for (let key = Math.floor(random() * 8); key < 60; key += 11) {
    if (random() < 0.4) deletes.push(["model", key]);
    else puts.push({ key: ["model", key], value });
  }
  return { puts, deletes };
}

/** A linear congruential generator: the same numbers in each run, from 0 to 1. */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
