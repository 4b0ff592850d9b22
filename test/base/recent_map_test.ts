import assert from "node:assert/strict";
import fc from "fast-check";
import { RecentMap } from "../../src/base/recent_map.ts";

Deno.test("RecentMap keeps the entries that were set last", () => {
  const sets = fc.array(fc.tuple(fc.nat(8), fc.nat()));
  fc.assert(fc.property(fc.integer({ min: 1, max: 5 }), sets, (most, sets) => {
    const map = new RecentMap<number, number>(most);
    let model: (readonly [number, number])[] = [];
    for (const [key, value] of sets) {
      assert.equal(map.set(key, value), map);
      model = [...model.filter(([other]) => other !== key), [key, value]];
      model = model.slice(-most);
      assert.deepEqual([...map], model);
    }
  }));
});
