import assert from "node:assert/strict";
import { formatPercent, formatShare } from "../../src/base/share.ts";

Deno.test("formatPercent() never rounds up to full or down to empty", async (t) => {
  const rows: readonly [part: bigint, whole: bigint, text: string][] = [
    [0n, 1021n, "0%"],
    [1n, 1021n, "<1%"],
    [11n, 1021n, "1%"],
    [1020n, 1021n, "99%"],
    [1021n, 1021n, "100%"],
    [3n, 1n << 64n, "<1%"],
    [0n, 0n, "-"],
  ];
  for (const [part, whole, text] of rows) {
    await t.step(`${part} of ${whole}`, () => {
      assert.equal(formatPercent(part, whole), text);
    });
  }
});

Deno.test("formatShare() never rounds up to full or down to empty", () => {
  const texts = [[0, 9], [1, 1021], [1020, 1021], [9, 9], [5, 2 ** 64], [0, 0]]
    .map(([part, whole]) => formatShare(part!, whole!));
  assert.deepEqual(texts, ["0%", "<1%", "99%", "100%", "<1%", ""]);
});
