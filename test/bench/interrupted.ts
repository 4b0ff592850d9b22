import { runInterrupted } from "../interrupted/run_interrupted.ts";
import type { BenchOptions, BenchReport } from "./report.ts";

const CALLS = 10_000;
const QUICK_CALLS = 100;

/**
 * Interrupts calls and makes them again at once. The process ends with 1 when
 * an address was given out twice, lost or left behind.
 */
export async function benchInterrupted(
  { quick, operations, seed = Date.now() % 1_000_000 }: BenchOptions,
): Promise<readonly BenchReport[]> {
  const calls = operations ?? (quick ? QUICK_CALLS : CALLS);
  const startedMs = performance.now();
  const ways = await runInterrupted({ calls, seed });
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(0);
  const faults = ways.flatMap(({ name, doubles, lost, left }) => [
    ...doubles.map((text) => `${name}: given twice: ${text}`),
    ...lost.map((text) => `${name}: lost: ${text}`),
    ...left.map((text) => `${name}: left behind: ${text}`),
  ]);
  if (faults.length > 0) Deno.exitCode = 1;
  return [{
    title: `interrupted: ${calls} calls, each made again at once, ${seconds} s`,
    columns: ["", "cancelled", "timed out", "cut off", "of them failed"]
      .concat("given twice", "lost", "left behind"),
    rows: ways.map((way) => [
      way.name,
      ...[way.cancelled, way.timedOut, way.cutOff, way.failed].map(String),
      ...[way.doubles, way.lost, way.left].map(({ length }) => `${length}`),
    ]),
    notes: [`seed ${seed}`, ...faults.slice(0, 20)],
  }];
}
