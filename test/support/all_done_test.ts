import assert from "node:assert/strict";
import { allDone } from "./all_done.ts";

Deno.test("allDone() returns all results, in order", async () => {
  assert.deepEqual(
    await allDone([Promise.resolve("a"), Promise.resolve("b")]),
    ["a", "b"],
  );
});

Deno.test("allDone() waits for the last when an earlier one fails", async () => {
  const last = Promise.withResolvers<void>();
  let isOver = false;
  const done = allDone([Promise.reject(new Error("first")), last.promise])
    .finally(() => isOver = true);
  const outcome = assert.rejects(done, /^Error: first$/);
  await new Promise((resolve) => setTimeout(resolve));
  assert.equal(isOver, false);
  last.resolve();
  await outcome;
});
