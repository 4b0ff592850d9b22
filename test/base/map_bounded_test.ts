import assert from "node:assert/strict";
import { mapBounded } from "../../src/base/map_bounded.ts";

Deno.test("mapBounded() keeps the order of the items, and works on a bounded number at once", async () => {
  const turns = [3, 1, 2, 1];
  let running = 0;
  let most = 0;
  const results = await mapBounded(turns, async (count) => {
    most = Math.max(most, ++running);
    for (let turn = 0; turn < count; turn++) await Promise.resolve();
    running--;
    return count;
  }, { atOnce: 2 });
  assert.deepEqual([results, most], [turns, 2]);
});

Deno.test("mapBounded() fails with the first error, and begins no other item", async () => {
  const begun: string[] = [];
  const slow = Promise.withResolvers<void>();
  const mapping = mapBounded(["slow", "bad", "late"], async (name) => {
    begun.push(name);
    if (name === "slow") await slow.promise;
    if (name === "bad") throw new RangeError("no such item");
  }, { atOnce: 2 });
  await assert.rejects(mapping, /no such item/);
  slow.resolve();
  await Promise.resolve();
  assert.deepEqual(begun, ["slow", "bad"]);
});
