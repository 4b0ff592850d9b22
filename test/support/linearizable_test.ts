import assert from "node:assert/strict";
import { isLinearizable, type Operation } from "./linearizable.ts";

function write(
  start: number,
  end: number,
  value: string,
): Operation<string> {
  return { start, end, step: () => value };
}

function read(start: number, end: number, value: string): Operation<string> {
  return { start, end, step: (s) => s === value ? s : undefined };
}

const ROWS: readonly [
  name: string,
  operations: readonly Operation<string>[],
  expected: boolean,
][] = [
  ["nothing", [], true],
  ["one after the other", [write(1, 2, "a"), read(3, 4, "a")], true],
  ["a stale read", [write(1, 2, "a"), read(3, 4, "")], false],
  ["a read of what was never written", [read(1, 2, "a")], false],
  ["a read during a write: before", [write(1, 4, "a"), read(2, 3, "")], true],
  ["a read during a write: after", [write(1, 4, "a"), read(2, 3, "a")], true],
  [
    "two reads during a write, back in time",
    [write(1, 9, "a"), read(2, 3, "a"), read(4, 5, "")],
    false,
  ],
  [
    "two writes at once, one order",
    [write(1, 4, "a"), write(2, 5, "b"), read(6, 7, "a")],
    true,
  ],
  [
    "two writes at once, both orders",
    [write(1, 4, "a"), write(2, 5, "b"), read(6, 7, "a"), read(8, 9, "b")],
    false,
  ],
];

Deno.test("isLinearizable() finds an order where there is one", async (t) => {
  for (const [name, operations, expected] of ROWS) {
    await t.step(name, () => {
      assert.equal(isLinearizable(operations, ""), expected);
      assert.equal(isLinearizable(operations.toReversed(), ""), expected);
    });
  }
});
