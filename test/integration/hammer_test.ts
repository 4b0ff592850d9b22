import assert from "node:assert/strict";
import { runHammer } from "../hammer/run_hammer.ts";

const OPERATIONS = 2_000;
/** Each kind of fault comes once before any comes twice. */
const FAULTS = [
  "kills",
  "reboots",
  "fullDisks",
  "clockJumps",
  "clones",
] as const;

Deno.test("no address is given out twice or lost, whatever happens to the agent and its host", async () => {
  const seed = Number(Deno.env.get("SEED") ?? Date.now() % 1_000_000);
  console.log(`SEED=${seed}`);
  const report = await runHammer(
    { operations: OPERATIONS, seed },
    { timeoutMs: 900_000 },
  );
  console.log(JSON.stringify(report));
  const { doubles, lost, stale, examples } = report;
  assert.deepEqual(
    { doubles, lost, stale, examples },
    { doubles: 0, lost: 0, stale: 0, examples: [] },
    `SEED=${seed}`,
  );
  assert.ok(report.operations >= OPERATIONS);
  // Calls that all fail would prove nothing.
  assert.ok(report.answered > OPERATIONS / 2, `${report.answered} answers`);
  for (const fault of FAULTS) assert.ok(report[fault] > 0, fault);
});
