import assert from "node:assert/strict";
import { startPeriodicTask } from "../../src/base/periodic_task.ts";
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
