import { setTimeout as delay } from "node:timers/promises";
import { ROOT } from "../generate.ts";
import type { SpawnAgentOptions } from "../support/spawn_agent.ts";
import { startAgent } from "./agent.ts";
import { startLoadClients } from "./load.ts";
import { familyProcessorMs, residentMiB, TICK_MS } from "./proc_stat.ts";
import {
  type BenchOptions,
  type BenchReport,
  formatNumber,
  formatRatio,
} from "./report.ts";

/** Calls of one kind in a turn of a side. */
const CALLS = 2000;
const TURNS = 5;
/** Time for which nobody calls either side, in ms. */
const IDLE_MS = 180_000;
/** Time that an agent gets to finish what follows its start, in ms. */
const SETTLE_MS = 10_000;
const METHODS = ["AllocateIP", "GetIP", "ReleaseIP"] as const;

const IDLE_AGENTS: readonly [what: string, options: SpawnAgentOptions][] = [
  ["idle", {}],
  ["idle, applies routes", {
    args: ["--routes", "apply"],
    // The kernel's routes outside this namespace stay as they are.
    within: ["unshare", "--net", "sh", "-c"]
      .concat('ip link set lo up; exec "$@"', "sh"),
  }],
];

/** A measured value of the earlier sources and of these. */
type Pair = readonly [before: number, after: number];
type Row = readonly [what: string, values: Pair];

/**
 * Compares an agent of earlier sources with the agent of these in one run: idle
 * at the same time, and under calls in turns. By default it compares these
 * sources with themselves, which shows the noise.
 */
export async function benchBefore(
  { quick, before = ROOT }: BenchOptions,
): Promise<readonly BenchReport[]> {
  const rows = [
    ...await measureIdle(before, quick ? 500 : IDLE_MS),
    ...await measureCalls(
      before,
      quick ? { turns: 1, calls: 512 } : { turns: TURNS, calls: CALLS },
    ),
  ];
  return [{
    title: "before: the agent of earlier sources and of these, in one run",
    columns: ["what", "before", "after", "after to before"],
    rows: rows.map(([what, [before, after]]) => [
      what,
      formatNumber(before),
      formatNumber(after),
      formatRatio(after / before),
    ]),
    notes: [
      "ms a minute: processor time of the agent and of the programs that it ran.",
      "us: processor time of the agent for one call, median of the turns.",
    ],
  }];
}

/** Starts an agent of the earlier sources and one of these. */
async function startBoth(before: string, options: SpawnAgentOptions = {}) {
  await using started = new AsyncDisposableStack();
  const start = async (sourceDir: string) =>
    started.use(await startAgent(16, { ...options, sourceDir }));
  const agents = [await start(before), await start(ROOT)] as const;
  const all = started.move();
  return { agents, [Symbol.asyncDispose]: () => all.disposeAsync() };
}

/** Measures processor time and memory of agents that nobody calls. */
async function measureIdle(before: string, idleMs: number): Promise<Row[]> {
  const rows: Row[] = [];
  for (const [what, options] of IDLE_AGENTS) {
    await using both = await startBoth(before, options);
    const ofBoth = (measure: (pid: number) => number): Pair => {
      const [before, after] = both.agents;
      return [measure(before.pid), measure(after.pid)];
    };
    await delay(Math.min(idleMs, SETTLE_MS));
    const from = ofBoth(familyProcessorMs);
    await delay(idleMs);
    const to = ofBoth(familyProcessorMs);
    const perMinute = (i: 0 | 1) =>
      Math.max(TICK_MS, to[i] - from[i]) * 60_000 / idleMs;
    rows.push([`${what}, ms a minute`, [perMinute(0), perMinute(1)]]);
    rows.push([`${what}, MiB`, ofBoth(residentMiB)]);
  }
  return rows;
}

/** Measures processor time of calls of which 64 are in flight. */
async function measureCalls(
  before: string,
  { turns, calls }: { readonly turns: number; readonly calls: number },
): Promise<Row[]> {
  const rows: Row[] = [];
  await using both = await startBoth(before);
  for (const kind of ["grpc-js", "fetch"] as const) {
    await using clients = new AsyncDisposableStack();
    const sides = both.agents.map(({ port, pid }) =>
      clients.use(startLoadClients({ kind, port, pid }))
    );
    const times = METHODS.map((method) => ({
      method,
      ofSide: sides.map((): number[] => []),
    }));
    // The first turn warms both sides up.
    for (let turn = 0; turn <= turns; turn++) {
      const order = turn % 2 === 0 ? [0, 1] : [1, 0];
      for (const side of order) {
        for (const { method, ofSide } of times) {
          const phase = { method, first: 0, count: calls, atOnce: 64 };
          const { agentUs } = await sides[side]!.run(phase);
          if (turn > 0) ofSide[side]!.push(agentUs);
        }
      }
    }
    for (const { method, ofSide: [before, after] } of times) {
      const medians = [median(before!), median(after!)] as const;
      rows.push([`${method}, ${kind}, 64 at once, us`, medians]);
    }
  }
  return rows;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}
