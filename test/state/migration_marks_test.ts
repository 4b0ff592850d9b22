import assert from "node:assert/strict";
import { readClusterCommits } from "../../src/registry/cluster_model.ts";
import {
  checkUnmarked,
  isMigrationMark,
  MIGRATING_KEY,
  MOVED_KEY,
} from "../../src/state/migration_marks.ts";
import { openDenoKv } from "../../src/store/deno_kv/deno_kv.ts";
import type { JsonValue, Key } from "../../src/store/store.ts";

const ROWS: readonly [
  name: string,
  key: Key,
  value: JsonValue,
  said: RegExp,
][] = [
  [
    "it has moved",
    MOVED_KEY,
    { id: "1", to: "etcd://h1", isComplete: true },
    /^Cannot use the registry in kv::memory:: it has moved to etcd:\/\/h1; restart this agent with that --store, or /,
  ],
  [
    "it is on its way to another store",
    MOVED_KEY,
    { id: "1", to: "etcd://h1", isComplete: false },
    /: it is being moved to etcd:\/\/h1; if that was interrupted, run /,
  ],
  [
    "it is not all there",
    MIGRATING_KEY,
    { id: "1", from: "etcd://h1", clusterId: "c" },
    /: it is being moved here from etcd:\/\/h1; if that was interrupted/,
  ],
];

Deno.test("checkUnmarked() names the registry's new place, as an error to try again", async (t) => {
  for (const [name, key, value, message] of ROWS) {
    await t.step(name, async () => {
      const store = await openDenoKv({ path: ":memory:" });
      try {
        await checkUnmarked(store);
        await store.commit({ puts: [{ key, value }] });
        await assert.rejects(checkUnmarked(store), {
          code: "unavailable",
          message,
        });
        await store.commit({ puts: [{ key, value: { id: "1" } }] });
        await assert.rejects(checkUnmarked(store), {
          code: "failed_precondition",
          message: /its value is damaged/,
        });
      } finally {
        await store.close();
      }
    });
  }
});

Deno.test("readClusterCommits() takes a mark that comes or goes for a gap", () => {
  const version = "1";
  const revision = { key: ["cluster", "revision"], value: 7, version };
  assert.ok(readClusterCommits([revision]));
  for (const [, key, value] of ROWS) {
    for (
      const mark of [{ key, value, version }, { key, value: null, version }]
    ) {
      assert.equal(readClusterCommits([revision, mark]), undefined);
    }
  }
});

Deno.test("isMigrationMark() knows the marks alone", () => {
  assert.ok([MOVED_KEY, MIGRATING_KEY].every(isMigrationMark));
  const others = [["cluster"], ["cluster", "node", "moved"], ["ip", "moved"]];
  assert.ok(!others.concat([["cluster", "moved", "x"]]).some(isMigrationMark));
});
