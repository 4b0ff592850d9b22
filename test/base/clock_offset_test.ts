import assert from "node:assert/strict";
import { provenClockOffsetMs } from "../../src/base/clock_offset.ts";

Deno.test("provenClockOffsetMs() counts what no slow answer explains", async (t) => {
  const rows: readonly [
    name: string,
    askedMs: number,
    answeredMs: number,
    theirMs: number,
    offsetMs: number,
  ][] = [
    ["equal clocks", 1_000, 1_002, 1_001, 0],
    ["equal clocks and a slow answer", 1_000, 21_000, 1_001, 0],
    ["equal clocks and a slow question", 1_000, 21_000, 20_999, 0],
    ["this clock ahead", 61_000, 61_002, 1_001, 59_999],
    ["this clock behind", 1_000, 1_002, 61_001, -59_999],
    [
      "this clock ahead by less than the answer takes",
      1_500,
      21_500,
      1_001,
      499,
    ],
    ["this clock is set forward meanwhile", 1_000, 61_002, 1_001, 0],
    ["this clock is set back meanwhile", 61_000, 1_002, 1_001, 1],
  ];
  for (const [name, askedMs, answeredMs, theirMs, offsetMs] of rows) {
    await t.step(name, () => {
      assert.equal(
        provenClockOffsetMs({ askedMs, answeredMs }, theirMs),
        offsetMs,
      );
    });
  }
});
