import assert from "node:assert/strict";
import {
  alignedDelay,
  startPeriodicTask,
} from "../../src/base/periodic_task.ts";
import { collectLogs } from "../support/collect_logs.ts";
import { waitFor } from "../support/wait_for.ts";

Deno.test("startPeriodicTask() logs a failure once, a different one, and the recovery", async () => {
  const outcomes = ["full", "full", "full", "gone", "gone", "", "", "full"];
  let runs = 0;
  const lines = await collectLogs(async () => {
    const task = startPeriodicTask("write", {
      intervalMs: 1,
      run() {
        const outcome = outcomes[runs++] ?? "";
        return outcome === ""
          ? Promise.resolve()
          : Promise.reject(new Error(outcome));
      },
    });
    await waitFor("the runs", () => runs >= outcomes.length + 1);
    await task.stop();
  });
  assert.deepEqual(lines.map((line) => line.replace(/Error: /, "")), [
    "Cannot write, trying again later: full",
    "Cannot write, trying again later: gone",
    "Could write again",
    "Cannot write, trying again later: full",
    "Could write again",
  ]);
});

/** Each row: an interval, a time, and the delay from it, in ms. */
const DELAYS: readonly (readonly [number, number, number])[] = [
  [20, 17, 20],
  [999, 500, 999],
  [1_000, 0, 1_000],
  [1_000, 3_001, 999],
  [1_000, 3_500, 500],
  // A run that is late, or a timer that is early, is not followed by another at once.
  [1_000, 3_501, 1_499],
  [1_000, 3_999, 1_001],
  [5_000, 12_000, 3_000],
];

Deno.test("alignedDelay() ends at multiples of the interval, from a second on", () => {
  for (const [intervalMs, nowMs, delayMs] of DELAYS) {
    assert.equal(alignedDelay(intervalMs, nowMs), delayMs, `${nowMs} ms`);
  }
});
