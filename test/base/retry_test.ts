import assert from "node:assert/strict";
import { NetError } from "../../src/base/error.ts";
import { BackOff, followWatch, retry } from "../../src/base/retry.ts";

const DOWN = new NetError("unavailable", "down");

Deno.test("BackOff.next() doubles up to the longest wait, and starts again after reset()", () => {
  const backOff = new BackOff({ firstMs: 100, maxMs: 350 });
  assert.deepEqual(Array.from({ length: 4 }, () => backOff.next()), [
    ...[100, 200, 350, 350],
  ]);
  backOff.reset();
  assert.equal(backOff.next(), 100);
});

Deno.test("BackOff.next() stays the same without a longest wait", () => {
  const backOff = new BackOff({ firstMs: 100 });
  assert.deepEqual([backOff.next(), backOff.next()], [100, 100]);
});

Deno.test("BackOff.next() spreads the wait from half of it to all of it", () => {
  const waits = [0, 0.5, 1].map((number) =>
    new BackOff({ firstMs: 100, random: () => number }).next()
  );
  assert.deepEqual(waits, [50, 75, 100]);
});

Deno.test("retry() repeats an attempt until it succeeds, and reports each failure", async () => {
  const failures: NetError[] = [];
  let attempts = 0;
  const answer = await retry(
    () => ++attempts < 3 ? Promise.reject(DOWN) : Promise.resolve("up"),
    {
      signal: new AbortController().signal,
      backOff: new BackOff({ firstMs: 1 }),
      onFailure: (error) => failures.push(error),
    },
  );
  assert.deepEqual([answer, failures], ["up", [DOWN, DOWN]]);
});

Deno.test("retry() ends with its signal, and throws a defect at once", async () => {
  const end = new AbortController();
  const options = { signal: end.signal, backOff: new BackOff({ firstMs: 1 }) };
  const ended = await retry(() => Promise.reject(DOWN), {
    ...options,
    onFailure: () => end.abort(),
  });
  assert.equal(ended, undefined);
  const defect = new TypeError("defect");
  await assert.rejects(
    retry(() => Promise.reject(defect), {
      ...options,
      signal: new AbortController().signal,
      onFailure: () => assert.fail("A defect is not tried again"),
    }),
    defect,
  );
});

Deno.test("followWatch() opens the watch again after an error and after an end", async () => {
  const end = new AbortController();
  const seen: unknown[] = [];
  let opened = 0;
  await followWatch({
    signal: end.signal,
    backOff: new BackOff({ firstMs: 1 }),
    async *open() {
      opened++;
      yield await Promise.resolve(opened);
      if (opened === 1) throw DOWN;
      if (opened === 3) end.abort();
    },
    onEvent: (event) => seen.push(event),
    onFailure: (error) => seen.push(error),
    onEnd: () => seen.push("end"),
  });
  assert.deepEqual(seen, [1, DOWN, "end", 2, "end", 3, "end"]);
});
