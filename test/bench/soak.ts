import { request } from "node:http";
import { join } from "node:path";
import { MALLOC_VARIABLES } from "../../src/install/plan/unit.ts";
import { NetnsHost } from "../support/netns_host.ts";
import { spawnAgent, type SpawnedAgent } from "../support/spawn_agent.ts";
import { V8_FLAGS } from "./agent.ts";
import { LineProcess } from "./line_process.ts";
import { processorMs, residentMiB } from "./proc_stat.ts";
import {
  type BenchOptions,
  type BenchReport,
  formatNumber,
  formatRatio,
} from "./report.ts";
import type { SoakCalls, SoakPeriod } from "./soak_client.ts";

const NEXT_HOP = "198.18.0.2";
/** So short that a run sees it removed again and again. */
const KEEP_HISTORY_S = 20;
/** The first minute fills what is held, and is not in the table. */
const WARM_UP = 1;
const QUICK = { periods: 2, seconds: 0.7, addresses: 20, routes: 5 };
const FULL = { seconds: 60, addresses: 1_000, routes: 50 };
const DEFAULT_MINUTES = 10;

/** What an agent takes, and what its calls took, at the end of a period. */
interface Sample extends SoakCalls {
  readonly residentMiB: number;
  readonly heapMiB: number;
  readonly openFiles: number;
  readonly storeMiB: number;
  /** Processor time of the agent for one call, in µs. */
  readonly agentUs: number;
}

/** The rows of the table. */
const ROWS: readonly (readonly [name: string, of: (s: Sample) => number])[] = [
  ["resident memory, MiB", (s) => s.residentMiB],
  ["heap, MiB", (s) => s.heapMiB],
  ["open files", (s) => s.openFiles],
  ["store with its log, MiB", (s) => s.storeMiB],
  ["agent, µs of processor a call", (s) => s.agentUs],
  ["allocations", (s) => s.allocate.count],
  ["allocate, median ms", (s) => s.allocate.medianMs],
  ["allocate, 99 % ms", (s) => s.allocate.p99Ms],
  ["release, median ms", (s) => s.release.medianMs],
  ["release, 99 % ms", (s) => s.release.p99Ms],
  ["route changes", (s) => s.route.count],
  ["route change, median ms", (s) => s.route.medianMs],
  ["route change, 99 % ms", (s) => s.route.p99Ms],
];

/**
 * Allocates, releases and changes routes without pause, on an agent that
 * installs the routes in a kernel of its own: what is taken after each minute.
 */
export async function benchSoak(
  { quick, minutes = DEFAULT_MINUTES }: BenchOptions,
): Promise<readonly BenchReport[]> {
  const { periods, ...size } = quick ? QUICK : { ...FULL, periods: minutes };
  await using host = await NetnsHost.create(
    "ip link add up0 type veth peer name far0",
    "ip address add 198.18.0.1/24 dev up0",
    "ip link set far0 up",
    "ip link set up0 up",
  );
  await using agent = await spawnAgent({
    within: ["ip", "netns", "exec", host.name],
    args: ["--network", "10.0.0.0/8", "--subnet-prefix", "16"]
      .concat("--routes", "apply", "--advertise", "198.18.0.1")
      .concat("--keep-history", `${KEEP_HISTORY_S}s`)
      .concat("--cool-down", "1s", "--log-level", "warning"),
    // As its unit runs it.
    env: { DENO_V8_FLAGS: V8_FLAGS, ...MALLOC_VARIABLES },
  });
  await using client = new LineProcess("soak_client.ts", [
    ...[agent.socketPath, NEXT_HOP],
  ]);
  const samples: Sample[] = [];
  for (let period = 0; period < WARM_UP + periods; period++) {
    const before = processorMs(agent.pid);
    const calls = await client.ask<SoakCalls>(size);
    const agentMs = processorMs(agent.pid) - before;
    if (period >= WARM_UP) samples.push(await take(agent, { calls, agentMs }));
  }
  return [report(samples, size)];
}

function report(
  samples: readonly Sample[],
  { seconds, addresses, routes }: SoakPeriod,
): BenchReport {
  const [first, last] = [samples[0]!, samples.at(-1)!];
  return {
    title: `soak: ${samples.length} times ${seconds} s`,
    columns: ["", ...samples.map((_, i) => `${i + 1}`), "end / start"],
    rows: ROWS.map(([name, of]) => [
      ...[name, ...samples.map((sample) => formatNumber(of(sample)))],
      formatRatio(of(last) / of(first)),
    ]),
    notes: [
      "Before it: as long again, to fill what is held.",
      `${addresses} addresses and ${routes} routes are held; the history is kept for ${KEEP_HISTORY_S} s.`,
    ],
  };
}

async function take(
  agent: SpawnedAgent,
  { calls, agentMs }: { readonly calls: SoakCalls; readonly agentMs: number },
): Promise<Sample> {
  const metrics = await readMetrics(agent.socketPath);
  const value = (name: string) => {
    const match = new RegExp(`^${name} (\\S+)$`, "m").exec(metrics);
    if (!match) throw new Error(`Cannot measure: there is no ${name}`);
    return Number(match[1]);
  };
  const { allocate, release, route } = calls;
  const count = allocate.count + release.count + route.count;
  return {
    ...calls,
    agentUs: agentMs * 1000 / count,
    residentMiB: residentMiB(agent.pid),
    heapMiB: value("process_heap_bytes") / 2 ** 20,
    openFiles: value("process_open_fds"),
    storeMiB: sizeOf(agent.stateDir) / 2 ** 20,
  };
}

/** The size of all files in a folder, in bytes. */
function sizeOf(dir: string): number {
  return [...Deno.readDirSync(dir)].filter(({ isFile }) => isFile)
    .reduce((sum, { name }) => sum + Deno.statSync(join(dir, name)).size, 0);
}

function readMetrics(socketPath: string): Promise<string> {
  return new Promise((resolve, reject) => {
    request({ socketPath, path: "/metrics", agent: false }, (response) => {
      let body = "";
      response.setEncoding("utf8")
        .on("data", (text: string) => body += text)
        .on("end", () => resolve(body));
    }).on("error", reject).end();
  });
}
