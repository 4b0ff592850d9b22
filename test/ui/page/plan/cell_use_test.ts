import assert from "node:assert/strict";
import fc from "fast-check";
import { createCarve } from "../../../../src/net/carve.ts";
import { parsePrefix } from "../../../../src/net/prefix.ts";
import {
  shownState,
  usedShare,
  useOfCells,
} from "../../../../src/ui/page/plan/cell_use.ts";
import {
  cellCount,
  cellSize,
  levelOf,
} from "../../../../src/ui/page/plan/levels.ts";

const CARVE = createCarve(parsePrefix("10.0.0.0/16"), 24);
const NETWORK = levelOf(CARVE, CARVE.network)!;
const SUBNET = levelOf(CARVE, parsePrefix("10.0.1.0/24"))!;
const at = (offset: number) => CARVE.network.value + BigInt(offset);

Deno.test("useOfCells() finds as many addresses as the runs have", () => {
  const runs = fc.uniqueArray(fc.nat(65_535), { maxLength: 20 })
    .map((list) => {
      const sorted = list.sort((a, b) => a - b);
      return Array.from({ length: sorted.length >> 1 }, (_, i) => ({
        first: at(sorted[2 * i]!),
        last: at(sorted[2 * i + 1]!),
        state: i % 2 === 0 ? "held" : "cooling",
      }));
    });
  fc.assert(fc.property(runs, (list) => {
    const cells = useOfCells(NETWORK, list);
    assert.equal(cells.length, cellCount(NETWORK));
    for (const state of ["held", "cooling"]) {
      const found = cells.reduce((sum, use) => sum + (use?.[state] ?? 0), 0) *
        cellSize(NETWORK);
      const expected = list.filter((run) => run.state === state)
        .reduce((sum, { first, last }) => sum + Number(last - first) + 1, 0);
      assert.ok(Math.abs(found - expected) < 1e-6, `${found} ${expected}`);
    }
    for (const use of cells) assert.ok(usedShare(use) <= 1 + 1e-9);
  }));
});

Deno.test("useOfCells() marks single addresses, and leaves out those elsewhere", () => {
  const cells = useOfCells(SUBNET, [
    { first: at(0), last: at(257), state: "held" },
    { first: at(300), last: at(300), state: "leaked" },
    { first: at(600), last: at(600), state: "held" },
  ]);
  assert.deepEqual(cells.slice(0, 3), [{ held: 1 }, { held: 1 }, undefined]);
  assert.deepEqual(cells[300 - 256], { leaked: 1 });
  assert.equal(cells.filter((use) => use).length, 3);
});

Deno.test("useOfCells() shows one address of a /64", () => {
  const carve = createCarve(parsePrefix("fd00::/48"), 64);
  const { value } = parsePrefix("fd00:0:0:7::2/128");
  const cells = useOfCells(levelOf(carve, carve.network)!, [
    { first: value, last: value, state: "held" },
  ]);
  const used = cells.flatMap((use, i) => use ? [i] : []);
  assert.deepEqual(used, [0]);
  assert.ok(usedShare(cells[0]) > 0);
});

Deno.test("shownState() shows the state of the highest rank", () => {
  const ranked = ["leaked", "held"] as const;
  assert.equal(shownState({ held: 0.9, leaked: 0.1 }, ranked), "leaked");
  assert.equal(shownState({ held: 0.9, leaked: 0 }, ranked), "held");
  assert.equal(shownState(undefined, ranked), undefined);
});
