import assert from "node:assert/strict";
import type { Key, ListOptions } from "../../src/store/store.ts";
import {
  byKey,
  collect,
  listKeys,
  put,
  putAll,
  type StoreTest,
} from "./store_suite_support.ts";

/** Keys that engines with a separator, an escape or another order confuse. */
export const TRICKY_KEYS: readonly Key[] = [
  ["a"],
  ["ab"],
  ["a", "b"],
  ["a", "b", "c"],
  ["a", "bc"],
  ["a/b"],
  ["a/"],
  ["a.b"],
  ["a:b"],
  ["a,b"],
  ["a b"],
  ["a\0b"],
  ["a\0"],
  ["a", "\0"],
  ["\0", "a"],
  ["a\xff"],
  ["a", "\xff"],
  ["A"],
  ["a", 0],
  ["a", "0"],
  ["a", 1, "b"],
  [0],
  ["0"],
  [1],
  [10],
  [9],
  [255],
  [256],
  [65536],
  [2 ** 32],
  [Number.MAX_SAFE_INTEGER],
  ["ä"],
  ["a\u0308"],
  ["日本"],
  ["\ue000"],
  ["\uffff"],
  ["😀"],
  ["\u{10ffff}"],
  ["__proto__"],
  ["constructor", "__proto__"],
  [" "],
  ["*"],
  ["%2F"],
  ["\\"],
  ['"', "[", "]"],
  ["null"],
];

export function testStoreLists(test: StoreTest): void {
  test("list() keeps keys apart and in order, whatever they hold", async (store) => {
    for (const key of TRICKY_KEYS) await put(store, key, { of: [...key] });
    const ordered = [...TRICKY_KEYS].sort(byKey);
    assert.deepEqual(await listKeys(store, []), ordered);
    for (const key of TRICKY_KEYS) {
      assert.deepEqual((await store.get(key))?.value, { of: [...key] });
      const below = ordered.filter((other) =>
        other.length > key.length && key.every((part, i) => part === other[i])
      );
      assert.deepEqual(await listKeys(store, key), below, JSON.stringify(key));
    }
    for (const key of TRICKY_KEYS) {
      await store.commit({ deletes: [key] });
      ordered.splice(ordered.indexOf(key), 1);
      assert.deepEqual(await listKeys(store, []), ordered, `without ${key}`);
    }
  });

  test("list() leaves out the prefix itself", async (store) => {
    await putAll(store, [
      { key: ["node"], value: 1 },
      { key: ["node", "a"], value: 2 },
      { key: ["nodes"], value: 3 },
    ]);
    assert.deepEqual(await listKeys(store, ["node"]), [["node", "a"]]);
    assert.deepEqual(await listKeys(store, ["node", "a"]), []);
    assert.deepEqual(await listKeys(store, ["none"]), []);
  });

  test("list() gives any part of many entries, in both directions", async (store) => {
    const count = 1234;
    const keys: Key[] = Array.from(
      { length: count },
      (_, i) => ["many", i * 2],
    );
    await putAll(store, [
      { key: ["man"], value: "before" },
      { key: ["many"], value: "itself" },
      { key: ["many!"], value: "behind" },
      ...keys.map((key, i) => ({ key, value: i })),
    ]);
    const steps: [string, ListOptions, Key[]][] = [
      ["all", {}, keys],
      ["none", { limit: 0 }, []],
      ["one", { limit: 1 }, keys.slice(0, 1)],
      ["499", { limit: 499 }, keys.slice(0, 499)],
      ["500", { limit: 500 }, keys.slice(0, 500)],
      ["501", { limit: 501 }, keys.slice(0, 501)],
      ["1000", { limit: 1000 }, keys.slice(0, 1000)],
      ["as many as there are", { limit: count }, keys],
      ["more than there are", { limit: count + 1 }, keys],
      ["after one", { after: ["many", 200] }, keys.slice(101)],
      ["after none", { after: ["many", 201] }, keys.slice(101)],
      ["after the last", { after: ["many", 2466] }, []],
      [
        "after, limit",
        { after: ["many", 200], limit: 3 },
        keys.slice(101, 104),
      ],
      ["after, a page", {
        after: ["many", 0],
        limit: 500,
      }, keys.slice(1, 501)],
      ["after below one", { after: ["many", 200, "x"] }, keys.slice(101)],
      ["after the prefix", { after: ["many"] }, keys],
      ["after, ahead of the prefix", { after: ["man", "z"] }, keys],
      ["after, behind the prefix", { after: ["many!"] }, []],
    ];
    for (const [name, options, expected] of steps) {
      const entries = await collect(store.list(["many"], options));
      assert.deepEqual(entries.map((entry) => entry.key), expected, name);
      assert.ok(
        entries.every(({ key, value }) => value === (key[1] as number) / 2),
        name,
      );
    }
    const back = [...keys].reverse();
    const reverse: [string, ListOptions, Key[]][] = [
      ["all", {}, back],
      ["501", { limit: 501 }, back.slice(0, 501)],
      ["after one", { after: ["many", 200] }, back.slice(count - 100)],
      ["after none", { after: ["many", 201] }, back.slice(count - 101)],
      ["after the first", { after: ["many", 0] }, []],
      ["after, limit", { after: ["many", 6], limit: 2 }, [keys[2]!, keys[1]!]],
      ["after the prefix", { after: ["many"] }, []],
      ["after, ahead of the prefix", { after: ["man", "z"] }, []],
      ["after, behind the prefix", { after: ["many!"] }, back],
    ];
    for (const [name, options, expected] of reverse) {
      const entries = store.list(["many"], { ...options, reverse: true });
      const listed = (await collect(entries)).map((entry) => entry.key);
      assert.deepEqual(listed, expected, `reverse, ${name}`);
    }
  });

  test("list() can be left early and run several times at once", async (store) => {
    const keys: Key[] = Array.from({ length: 700 }, (_, i) => ["k", i]);
    await putAll(store, keys.map((key) => ({ key, value: 1 })));
    for await (const entry of store.list(["k"])) {
      assert.deepEqual(entry.key, ["k", 0]);
      break;
    }
    const lists = await Promise.all(
      Array.from({ length: 5 }, () => listKeys(store, ["k"])),
    );
    for (const list of lists) assert.deepEqual(list, keys);
  });

  test("list() gives whole entries while others write", async (store) => {
    const keys: Key[] = Array.from({ length: 600 }, (_, i) => ["k", i]);
    await putAll(store, keys.map((key) => ({ key, value: ["old", "old"] })));
    const writes = keys.map((key) => put(store, key, ["new", "new"]));
    const seen = await collect(store.list(["k"]));
    await Promise.all(writes);
    assert.deepEqual(seen.map((entry) => entry.key), keys);
    for (const { value } of seen) {
      const [first, second] = value as string[];
      assert.equal(first, second);
    }
  });

  test("list() refuses a limit that is not a number of entries", async (store) => {
    for (const limit of [-1, 1.5, Number.NaN]) {
      await assert.rejects(
        () => collect(store.list([], { limit })),
        RangeError,
        `${limit}`,
      );
    }
  });
}
