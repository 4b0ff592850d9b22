import assert from "node:assert/strict";
import { asCompleted } from "../../src/base/as_completed.ts";

Deno.test("asCompleted() yields results as they come, and works on a bounded number at once", async () => {
  const { signal } = new AbortController();
  const ends = new Map<number, () => void>();
  let most = 0;
  const work = (item: number) =>
    new Promise<number>((resolve) => {
      ends.set(item, () => {
        ends.delete(item);
        resolve(item);
      });
      most = Math.max(most, ends.size);
    });
  const results = asCompleted([1, 2, 3, 4], work, { atOnce: 2, signal });
  const got: number[] = [];
  for (const item of [2, 1, 4, 3]) {
    const next = results.next();
    await Promise.resolve();
    ends.get(item)!();
    got.push((await next).value!);
  }
  assert.deepEqual([got, most], [[2, 1, 4, 3], 2]);
  assert.equal((await results.next()).done, true);
});

Deno.test("asCompleted() loses no result that is there before it is asked for", async () => {
  const { signal } = new AbortController();
  const work = (item: number) => Promise.resolve(item);
  const results = asCompleted([1, 2, 3, 4, 5], work, { atOnce: 3, signal });
  const got: number[] = [];
  for await (const result of results) {
    got.push(result);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  assert.deepEqual(got.sort(), [1, 2, 3, 4, 5]);
});

Deno.test("asCompleted() ends with the reason of its signal", async () => {
  const stop = new AbortController();
  const results = asCompleted([1, 2], (item) => Promise.resolve(item), {
    ...{ atOnce: 1, signal: stop.signal },
  });
  assert.equal((await results.next()).value, 1);
  stop.abort(new RangeError("enough"));
  await assert.rejects(results.next(), /enough/);
});
