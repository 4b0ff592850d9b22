import assert from "node:assert/strict";
import { readDurationMs } from "../../src/base/duration.ts";

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
