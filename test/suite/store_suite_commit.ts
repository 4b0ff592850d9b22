import assert from "node:assert/strict";
import type { JsonValue, Key } from "../../src/store/store.ts";
import { collect, put, type StoreTest } from "./store_suite_support.ts";

const VALUES: readonly JsonValue[] = [
  "",
  0,
  -1.5,
  1e300,
  true,
  false,
  [],
  {},
  [null],
  { "": "", "a.b": { "\0": ["\ud800", "😀", "\u2028"] } },
  JSON.parse('{"__proto__":{"polluted":true},"constructor":1}'),
];

const BAD_KEYS: readonly Key[] = [
  [],
  [""],
  ["a", ""],
  [-1],
  ["a", -0],
  [1.5],
  [Number.NaN],
  [2 ** 53],
  ["a\ud800"],
  [true as unknown as string],
];

export function testStoreCommits(test: StoreTest): void {
  test("get() returns what was put, and null for what was not", async (store) => {
    for (const [index, value] of VALUES.entries()) {
      const version = await put(store, ["value", index], value);
      assert.deepEqual(await store.get(["value", index]), {
        key: ["value", index],
        value,
        version,
      });
    }
    assert.equal(await store.get(["value"]), null);
    assert.equal(await store.get(["value", VALUES.length]), null);
  });

  test("commit() leaves out members that are undefined", async (store) => {
    await put(store, ["a"], { kept: null, gone: undefined });
    assert.deepEqual((await store.get(["a"]))?.value, { kept: null });
  });

  test("commit() takes keys and values as they are when it is called", async (store) => {
    await put(store, ["there"], 1);
    const missing = ["missing"];
    const key = ["a", "b"];
    const value = { list: [1] };
    // Behind another commit, so that it waits.
    const first = put(store, ["first"], 1);
    const written = store.commit({
      checks: [{ key: missing, version: null }],
      puts: [{ key, value }],
    });
    missing[0] = "there";
    key[1] = "c";
    value.list.push(2);
    await first;
    assert.ok((await written).committed);
    assert.deepEqual((await store.get(["a", "b"]))?.value, { list: [1] });
    assert.equal(await store.get(["a", "c"]), null);
  });

  test("commit() deletes, also what is not there", async (store) => {
    await put(store, ["a"], 1);
    const deletes = [["a"], ["b"]];
    assert.ok((await store.commit({ deletes })).committed);
    assert.equal(await store.get(["a"]), null);
    assert.ok((await store.commit({ deletes })).committed);
  });

  test("commit() gives its version to all it puts, later than any before", async (store) => {
    let last = "";
    for (let i = 0; i < 50; i++) {
      const puts = [{ key: ["a", i], value: i }, { key: ["same"], value: 0 }];
      const result = await store.commit({ puts });
      assert.ok(result.committed);
      assert.ok(result.version > last, `${result.version} after ${last}`);
      last = result.version;
      assert.equal((await store.get(["a", i]))?.version, last);
      assert.equal((await store.get(["same"]))?.version, last);
    }
  });

  test("commit() checks versions", async (store) => {
    const first = await put(store, ["a"], 1);
    const second = await put(store, ["a"], 2);
    const other = await put(store, ["other"], 1);
    await store.commit({ deletes: [["gone"]] });
    const steps: [string, Key, string | null, boolean][] = [
      ["the version it has", ["a"], second, true],
      ["an earlier version", ["a"], first, false],
      ["the version of another key", ["a"], other, false],
      ["missing, and it exists", ["a"], null, false],
      ["missing, and it is", ["b"], null, true],
      ["missing, and it was deleted", ["gone"], null, true],
      ["a version, and it is missing", ["b"], first, false],
      ["the key below is missing", ["a", "a"], null, true],
    ];
    for (const [name, key, version, committed] of steps) {
      const result = await store.commit({
        checks: [{ key: ["other"], version: other }, { key, version }],
      });
      assert.equal(result.committed, committed, name);
      assert.equal("version" in result, committed, name);
    }
  });

  test("commit() refuses a version from before a key was deleted and put again", async (store) => {
    const version = await put(store, ["a"], 1);
    await store.commit({ deletes: [["a"]] });
    await put(store, ["a"], 1);
    const checks = [{ key: ["a"], version }];
    const puts = [{ key: ["a"], value: 2 }];
    assert.deepEqual(await store.commit({ checks, puts }), {
      committed: false,
    });
    assert.equal((await store.get(["a"]))?.value, 1);
  });

  test("commit() writes nothing when one check of several fails", async (store) => {
    const version = await put(store, ["a"], 1);
    await put(store, ["b"], 1);
    const before = await collect(store.list([]));
    const result = await store.commit({
      checks: [{ key: ["a"], version }, { key: ["b"], version: null }],
      puts: [{ key: ["a"], value: 2 }, { key: ["c"], value: 2 }],
      deletes: [["b"]],
    });
    assert.deepEqual(result, { committed: false });
    assert.deepEqual(await collect(store.list([])), before);
  });

  test("get(), list() and commit() refuse what is no key", async (store) => {
    for (const key of BAD_KEYS) {
      const name = JSON.stringify(key);
      const puts = [{ key: ["good"], value: 1 }];
      const calls: [string, () => Promise<unknown>][] = [
        ["get", () => store.get(key)],
        ["after", () => collect(store.list([], { after: key }))],
        ["put", () => store.commit({ puts: [...puts, { key, value: 1 }] })],
        ["delete", () => store.commit({ puts, deletes: [key] })],
        [
          "check",
          () => store.commit({ puts, checks: [{ key, version: null }] }),
        ],
      ];
      for (const [call, run] of calls) {
        await assert.rejects(run, RangeError, `${call} ${name}`);
      }
    }
    for (const prefix of BAD_KEYS.slice(1)) {
      await assert.rejects(() => collect(store.list(prefix)), RangeError);
      const { signal } = new AbortController();
      await assert.rejects(
        () => collect(store.watch(prefix, { signal })),
        RangeError,
      );
    }
    assert.deepEqual(await collect(store.list([])), []);
  });

  test("commit() refuses a key that is written twice", async (store) => {
    const twice = { key: ["a"], value: 1 };
    await assert.rejects(() => store.commit({ puts: [twice, twice] }), {
      name: "RangeError",
      message: /\["a"\]/,
    });
    await assert.rejects(
      () => store.commit({ puts: [twice], deletes: [["a"]] }),
      RangeError,
    );
    await assert.rejects(
      () => store.commit({ deletes: [["a"], ["a"]] }),
      RangeError,
    );
    assert.equal(await store.get(["a"]), null);
  });

  test("commit() refuses to put null, which in a change means a deletion", async (store) => {
    await assert.rejects(
      () => store.commit({ puts: [{ key: ["a"], value: null }] }),
      RangeError,
    );
    assert.equal(await store.get(["a"]), null);
  });

  test("close() refuses every call after it", async (store) => {
    await put(store, ["a"], 1);
    const open = store.list([])[Symbol.asyncIterator]();
    const { signal } = new AbortController();
    const inTime = store.commit({ puts: [{ key: ["a"], value: 2 }] });
    await Promise.all([store.close(), store.close()]);
    assert.ok((await inTime).committed);
    const refused = { name: "NetError", code: "unavailable" };
    await assert.rejects(() => store.get(["a"]), refused);
    await assert.rejects(() => open.next(), refused);
    await assert.rejects(() => collect(store.list([])), refused);
    await assert.rejects(() => store.commit({ deletes: [["a"]] }), refused);
    await assert.rejects(() => collect(store.watch([], { signal })), refused);
    await store.close();
  });
}
