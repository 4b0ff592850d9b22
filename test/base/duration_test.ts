import assert from "node:assert/strict";
import {
  formatAgo,
  formatDuration,
  formatSpan,
  formatTimeLeft,
  readDurationMs,
} from "../../src/base/duration.ts";

Deno.test("readDurationMs() reads a whole number and a unit, and nothing else", async (t) => {
  const rows: readonly (readonly [string, number | undefined])[] = [
    ["500ms", 500],
    ["60s", 60_000],
    ["30m", 1_800_000],
    ["24h", 86_400_000],
    ["7d", 604_800_000],
    ["0s", 0],
    ...["", "60", "s", "1.5s", "01s", "-1s", " 1s", "1 s", "1w", "1s1s"]
      .map((text) => [text, undefined] as const),
  ];
  for (const [text, expected] of rows) {
    await t.step(JSON.stringify(text), () => {
      assert.equal(readDurationMs(text), expected);
    });
  }
});

Deno.test("formatDuration() takes the unit in which a person would say it, rounded up", () => {
  const texts = [0, 1, 59_001, 120_000, 120_001, 7_200_000, 7_200_001]
    .concat(259_200_000, 259_200_001).map(formatDuration);
  assert.deepEqual(texts, [
    ...["0 s", "1 s", "60 s", "120 s", "3 min", "120 min", "3 h", "72 h"],
    "4 d",
  ]);
});

Deno.test("formatSpan() gives the two largest units", () => {
  const spans = [-1, 0, 59_000, 61_000, 3_600_000, 90_061_000].map(formatSpan);
  assert.deepEqual(spans, ["0s", "0s", "59s", "1m 1s", "1h 0m", "1d 1h"]);
});

Deno.test("formatAgo() gives the largest unit", () => {
  const ages = [-5_000, 999, 1_000, 3_700_000, 200_000_000].map(formatAgo);
  assert.deepEqual(ages, [
    "just now",
    "just now",
    "1s ago",
    "1h ago",
    "2d ago",
  ]);
});

Deno.test("formatTimeLeft() promises no more days than there are", () => {
  const left = [0, 1, 86_400_000, 3.9 * 86_400_000].map(formatTimeLeft);
  assert.deepEqual(left, ["now", "within a day", "in 1 d", "in 3 d"]);
});
