import assert from "node:assert/strict";
import { RateLimit } from "../../src/base/rate_limit.ts";

Deno.test("RateLimit.take() allows a burst, then one in each interval, and says when", () => {
  let nowMs = 0;
  const limit = new RateLimit({ burst: 3, intervalMs: 1_000 }, () => nowMs);
  const rows: readonly (readonly [atMs: number, waitMs?: number])[] = [
    ...[[0], [0], [0], [0, 1_000]] as const,
    ...[[999, 1], [1_000], [1_200, 800]] as const,
    ...[[3_999], [3_999], [3_999, 1]] as const,
    ...[[60_000], [60_000], [60_000], [60_000, 1_000]] as const,
  ];
  for (const [index, [atMs, waitMs]] of rows.entries()) {
    nowMs = atMs;
    assert.equal(limit.take("a"), waitMs, `row ${index}`);
  }
  assert.equal(limit.take("b"), undefined);
  assert.ok(limit.has("b") && !limit.has("c"));
});

Deno.test("RateLimit.take() shortens the interval for a key", () => {
  let nowMs = 0;
  const limit = new RateLimit({ burst: 1, intervalMs: 1_000 }, () => nowMs);
  assert.equal(limit.take("a", 100), undefined);
  assert.equal(limit.take("a", 100), 100);
  nowMs = 100;
  assert.equal(limit.take("a", 100), undefined);
});

Deno.test("RateLimit forgets keys that have everything left", () => {
  let nowMs = 0;
  const limit = new RateLimit({ burst: 1, intervalMs: 1_000 }, () => nowMs);
  for (let i = 0; i < 4_096; i++) limit.take(`n${i}`);
  nowMs = 1_000;
  limit.take("last");
  assert.equal(limit.size, 1);
});
