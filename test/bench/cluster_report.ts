import type { Joined, Watching } from "./cluster_client.ts";
import { percentile } from "./percentile.ts";
import { type BenchReport, formatNumber, formatRatio } from "./report.ts";

/** How long a change may take to the last watcher, in ms. */
const BUDGET_MS = 1000;

/** What was measured of the registry, and of the bare server beside it. */
interface Both<T> {
  readonly agent: T;
  readonly bare: T;
}

/** What the benchmark of a cluster has found. Times are in ms. */
export interface ClusterFigures {
  /** What the titles begin with. */
  readonly what: string;
  readonly size: { readonly nodes: number; readonly atOnce: number };
  readonly joined: Joined;
  /** Processor time of the agent for one join, in µs. */
  readonly agentUs: number;
  readonly opened: Both<Watching & { readonly processorMs: number }>;
  readonly snapshotBytes: number;
  /** What changed; of each round how long each watcher waited; the agent's processor time for one. */
  readonly changes: readonly (Both<readonly (readonly number[])[]> & {
    readonly name: string;
    readonly agentMs: number;
  })[];
  /** How long one more watcher waited for what there is. */
  readonly looks: Both<number[]>;
  /** Resident memory of the agent, in MiB. */
  readonly memory: readonly (readonly [when: string, mib: number])[];
  /** That of the bare server, when all watch. */
  readonly bareMiB: number;
}

/** Formats what the benchmark of a cluster has found. */
export function clusterReports(figures: ClusterFigures): BenchReport[] {
  return [
    joinReport(figures),
    openReport(figures),
    changeReport(figures),
    memoryReport(figures),
  ];
}

function joinReport(
  { what, size, joined, agentUs }: ClusterFigures,
): BenchReport {
  const { latenciesMs, seconds, subnets } = joined;
  const different = new Set(subnets).size;
  return {
    title:
      `${what}: ${size.nodes} nodes join, ${size.atOnce} at once, from processes of their own`,
    columns: ["", "s", "joins/s", "median ms", "p99 ms", "agent us", "subnets"],
    rows: [[
      "all have joined",
      formatNumber(seconds),
      (latenciesMs.length / seconds).toFixed(0),
      formatNumber(percentile(latenciesMs, 0.5)),
      formatNumber(percentile(latenciesMs, 0.99)),
      agentUs.toFixed(0),
      formatRatio(different / size.nodes),
    ]],
    notes: [
      "agent us: processor time of the agent for one join. subnets: different ones to nodes.",
      "Each node tells every 5 s that it is alive, from then on.",
    ],
  };
}

function openReport(
  { what, size, opened, looks, snapshotBytes }: ClusterFigures,
): BenchReport {
  const row = (who: "agent" | "bare", name: string) => [
    name,
    formatNumber(opened[who].seconds),
    (opened[who].processorMs * 1000 / size.nodes).toFixed(0),
    formatNumber(percentile(looks[who], 0.5)),
    formatRatio(opened[who].seconds / opened.bare.seconds),
  ];
  return {
    title:
      `${what}: ${size.nodes} watchers come at once, and each is told of all nodes`,
    columns: ["", "s", "server us", "one more, ms", "beside bare"],
    rows: [row("bare", "bare streams"), row("agent", "registry")],
    notes: [
      `${opened.agent.connections} connections for ${size.nodes} watchers; ${snapshotBytes} bytes for each.`,
      "server us: processor time of the server for one watcher.",
    ],
  };
}

function changeReport({ what, size, changes }: ClusterFigures): BenchReport {
  const [first] = changes;
  return {
    title: `${what}: from a change to its watchers, ${size.nodes} of them, ${
      first!.agent.length
    } changes in turn`,
    columns: [
      ...["", "median ms", "p99 ms", "last ms", "worst ms", "agent ms"],
      ...["beside bare", "of budget"],
    ],
    rows: changes.flatMap(({ name, agent, bare, agentMs }) => {
      const last = (delays: readonly (readonly number[])[]) =>
        delays.map((ms) => Math.max(...ms));
      const row = (name: string, delays: readonly (readonly number[])[]) => [
        name,
        formatNumber(percentile(delays.flat(), 0.5)),
        formatNumber(percentile(delays.flat(), 0.99)),
        formatNumber(percentile(last(delays), 0.5)),
        formatNumber(Math.max(...last(delays))),
        delays === agent ? agentMs.toFixed(0) : "",
        formatRatio(
          percentile(last(delays), 0.5) / percentile(last(bare), 0.5),
        ),
        formatRatio(Math.max(...last(delays)) / BUDGET_MS),
      ];
      return [row(`${name}, bare streams`, bare), row(name, agent)];
    }),
    notes: [
      "From before the call that makes it. last: until the last watcher has it, the median of the changes; worst: of the slowest change.",
      "agent ms: processor time of the agent for one change, with what else it did meanwhile.",
      `Budget: the worst within ${BUDGET_MS} ms. The registry holds changes for 30 ms, to send them together.`,
    ],
  };
}

function memoryReport(
  { what, size, memory, bareMiB, snapshotBytes }: ClusterFigures,
): BenchReport {
  const [[, idle]] = memory as [readonly [string, number]];
  const rows = [...memory, ["bare streams, all watch", bareMiB] as const];
  return {
    title: `${what}: resident memory of the agent, ${size.nodes} nodes`,
    columns: ["", "MiB", "to idle"],
    rows: rows.map((
      [when, mib],
    ) => [when, mib.toFixed(0), formatRatio(mib / idle)]),
    notes: [
      `bare streams: that server's. Either has sent its watchers ${
        (snapshotBytes * size.nodes / 2 ** 20).toFixed(0)
      } MiB when they come.`,
    ],
  };
}
