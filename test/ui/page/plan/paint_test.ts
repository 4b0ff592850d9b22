import assert from "node:assert/strict";
import { createCarve } from "../../../../src/net/carve.ts";
import { parsePrefix } from "../../../../src/net/prefix.ts";
import { levelOf } from "../../../../src/ui/page/plan/levels.ts";
import {
  countStates,
  nextUsed,
  paintOf,
} from "../../../../src/ui/page/plan/paint.ts";

const CARVE = createCarve(parsePrefix("10.0.0.0/22"), 24);
const LEVEL = levelOf(CARVE, CARVE.network)!;
const USES = [{ held: 0.25 }, undefined, { held: 0.5, leaked: 0.25 }, {
  held: 1,
}];
const RANKED = ["leaked", "held"] as const;

Deno.test("paintOf() shows the worst state of a cell, and how full it is", () => {
  const { states, bars } = paintOf(LEVEL, USES, { ranked: RANKED });
  assert.deepEqual([...states], [2, 0, 1, 2]);
  assert.deepEqual([...bars], [0.25, 0, 0.75, 1]);
  const filled = paintOf(LEVEL, USES, {
    ranked: RANKED,
    fillOf: (cell) => cell === 3 ? 0 : undefined,
  });
  assert.deepEqual([...filled.bars], [0.25, 0, 0.75, 0]);
});

Deno.test("countStates() counts addresses by state", () => {
  assert.deepEqual(
    [...countStates<"held" | "leaked">(USES, 256)],
    [["held", 448], ["leaked", 64]],
  );
});

Deno.test("nextUsed() finds the next cell that is not free, in both directions", () => {
  const paint = paintOf(LEVEL, USES, { ranked: RANKED });
  assert.equal(nextUsed(paint, -1, 1), 0);
  assert.equal(nextUsed(paint, 0, 1), 2);
  assert.equal(nextUsed(paint, 3, 1), undefined);
  assert.equal(nextUsed(paint, 4, -1), 3);
  assert.equal(nextUsed(paint, 2, -1), 0);
  assert.equal(nextUsed(paint, 0, -1), undefined);
});
