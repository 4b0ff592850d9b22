import { runHammer } from "../hammer/run_hammer.ts";
import type { BenchOptions, BenchReport } from "./report.ts";

const QUICK_OPERATIONS = 600;
const DEFAULT_OPERATIONS = 1_000_000;
const TIMEOUT_MS = 24 * 3_600_000;

/**
 * Calls an agent without pause while it is killed, its host rebooted, its disk
 * filled, its clock set and its state copied to another machine. The process
 * ends with 1 when an address was given out twice or lost.
 */
export async function benchHammer(
  { quick, operations, seed = Date.now() % 1_000_000 }: BenchOptions,
): Promise<readonly BenchReport[]> {
  console.log(`hammer: seed ${seed}`);
  const { examples, seconds, ...counts } = await runHammer({
    operations: operations ?? (quick ? QUICK_OPERATIONS : DEFAULT_OPERATIONS),
    seed,
  }, { timeoutMs: TIMEOUT_MS });
  const { doubles, lost, stale } = counts;
  const report = {
    title: `hammer: ${seconds.toFixed(0)} s`,
    columns: ["", "number", "allowed"],
    rows: [
      ["operations", `${counts.operations}`, ""],
      [
        "of them by the CNI plugin, a process each",
        `${counts.pluginCalls}`,
        "",
      ],
      ["carried out, or refused by a rule", `${counts.answered}`, ""],
      ["doubles", `${doubles}`, "0"],
      ["lost", `${lost}`, "0"],
      ["released and held again", `${stale}`, "0"],
      ["kills", `${counts.kills}`, ""],
      ["reboots", `${counts.reboots}`, ""],
      ["full disks", `${counts.fullDisks}`, ""],
      ["clock jumps", `${counts.clockJumps}`, ""],
      ["clones", `${counts.clones}`, ""],
      ["seed", `${seed}`, ""],
    ],
    notes: examples,
  };
  if (doubles + lost + stale > 0) Deno.exitCode = 1;
  return [report];
}
