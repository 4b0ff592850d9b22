import assert from "node:assert/strict";
import { runInterrupted } from "../interrupted/run_interrupted.ts";

const CALLS = 600;
const SEED = 17;

Deno.test("calls that are interrupted and made again lose no address, and give none twice", async (t) => {
  const reports = await runInterrupted({ calls: CALLS, seed: SEED });
  for (const { name, ...report } of reports) {
    await t.step(name, () => {
      const { cancelled, timedOut, cutOff, failed } = report;
      assert.ok(cancelled > 0 && timedOut > 0 && cutOff > 0 && failed > 0);
      const { doubles, lost, left } = report;
      assert.deepEqual({ doubles, lost, left }, {
        ...{ doubles: [], lost: [], left: [] },
      });
    });
  }
});
