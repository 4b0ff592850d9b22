import assert from "node:assert/strict";
import { historyPuts, pruneHistory } from "../../src/addresses/history.ts";
import { parseAddress } from "../../src/net/address.ts";
import { parsePrefix } from "../../src/net/prefix.ts";
import { openDenoKv } from "../../src/store/deno_kv/deno_kv.ts";
import type { Store } from "../../src/store/store.ts";
import { owner } from "./plan/pools.ts";

/** A history of releases at the times 1 to `count`, in ms. */
async function openHistory(count: number): Promise<Store> {
  const store = await openDenoKv({ path: ":memory:" });
  const address = parseAddress("10.0.0.2");
  const subnet = parsePrefix("10.0.0.0/24");
  for (let releasedAtMs = 1; releasedAtMs <= count; releasedAtMs++) {
    await store.commit({
      puts: historyPuts("a", {
        allocation: {
          id: "one",
          owner: owner("c1"),
          addresses: [{ address, subnet }],
          allocatedAtMs: 0,
          requested: false,
        },
        releasedAtMs,
        reason: "test",
        sequence: releasedAtMs,
      }),
    });
  }
  return store;
}

/** The times of what is left, in order of time and by address. */
async function timesIn(store: Store): Promise<[number[], number[]]> {
  const entries = await Array.fromAsync(store.list(["history"]));
  const times = (index: string, part: number) =>
    entries.filter(({ key }) => key[1] === index).map(({ key }) =>
      Number(key[part])
    );
  return [times("time", 2), times("ip", 4)];
}

Deno.test("pruneHistory() removes old records, and the oldest of too many", async (t) => {
  const rows: readonly [
    name: string,
    beforeMs: number,
    maxRecords: number,
    left: readonly number[],
  ][] = [
    ["nothing", 0, 5, [1, 2, 3, 4, 5]],
    ["what is old", 3, 5, [3, 4, 5]],
    ["what is too much", 0, 2, [4, 5]],
    ["both, more of it old", 5, 3, [5]],
    ["both, more of it too much", 2, 1, [5]],
    ["everything", 6, 5, []],
  ];
  for (const [name, beforeMs, maxRecords, left] of rows) {
    await t.step(name, async () => {
      const store = await openHistory(5);
      const removed = await pruneHistory(
        { node: "a", store },
        beforeMs,
        maxRecords,
      );
      assert.equal(removed, 5 - left.length);
      assert.deepEqual(await timesIn(store), [left, left]);
      await store.close();
    });
  }
});

Deno.test("pruneHistory() removes more than one commit holds", async () => {
  const store = await openHistory(1_000);
  assert.equal(await pruneHistory({ node: "a", store }, 0, 10), 990);
  const [inTime, byAddress] = await timesIn(store);
  assert.deepEqual([inTime.length, byAddress.length], [10, 10]);
  await store.close();
});
