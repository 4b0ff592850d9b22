import assert from "node:assert/strict";
import { LogRing } from "../../src/system/log_ring.ts";

const LIMITS = { maxLines: 3, maxChars: 12, maxLineChars: 5 };

Deno.test("LogRing keeps the last lines, within its limits", async (t) => {
  const rows: readonly [
    name: string,
    added: readonly string[],
    kept: readonly string[],
  ][] = [
    ["nothing", [], []],
    ["a few", ["a\n", "b\n"], ["a", "b"]],
    ["too many", ["a", "b", "c", "d", "e"], ["c", "d", "e"]],
    ["one too long", ["abcdefgh\n"], ["abcde"]],
    ["too much", ["aaaaa", "bbbbb", "ccccc"], ["bbbbb", "ccccc"]],
  ];
  for (const [name, added, kept] of rows) {
    await t.step(name, () => {
      const ring = new LogRing(LIMITS);
      added.forEach((line) => ring.add(line));
      assert.deepEqual(ring.lines, kept);
    });
  }
});

Deno.test("LogRing fits an answer of the API, however much is logged", () => {
  const ring = new LogRing();
  for (let i = 0; i < 10_000; i++) ring.add("x".repeat(10_000));
  const chars = ring.lines.reduce((sum, line) => sum + line.length, 0);
  assert.ok(chars <= 512 * 1024, `${chars}`);
  assert.ok(chars > 500 * 1024, `${chars}`);
});
