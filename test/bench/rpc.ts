import { startAgent } from "./agent.ts";
import { type Load, type LoadClients, startLoadClients } from "./load.ts";
import {
  type BenchOptions,
  type BenchReport,
  formatNumber,
  formatRatio,
} from "./report.ts";

/** Operations a second at 64 at once of the budget. */
const BUDGET_PER_SECOND = 3000;

/** Which clients call, how often of each kind, and how many at once. */
const STEPS = [
  { kind: "grpc-js", processes: 1, atOnce: 1, count: 1500 },
  { kind: "grpc-js", processes: 1, atOnce: 16, count: 6000 },
  { kind: "grpc-js", processes: 1, atOnce: 64, count: 12_000 },
  { kind: "grpc-js", processes: 2, atOnce: 64, count: 12_000 },
  { kind: "fetch", processes: 1, atOnce: 64, count: 6000 },
] as const;

/** What both sides do before anything is measured. */
const WARM_UP = { count: 2000, atOnce: 16 };

/** Measures allocations and releases from other processes. */
export async function benchRpc(
  { quick }: BenchOptions,
): Promise<readonly BenchReport[]> {
  const scale = quick ? 0.02 : 1;
  await using agent = await startAgent(16);
  const rows: string[][] = [];
  let best = 0;
  for (const { kind, processes, atOnce, count } of STEPS) {
    await using clients = startLoadClients({
      kind,
      processes,
      port: agent.port,
      pid: agent.pid,
    });
    await measure(clients, { ...WARM_UP, count: WARM_UP.count * scale });
    const { allocate, release } = await measure(clients, {
      count: Math.round(count * scale),
      atOnce,
    });
    const both = 2 / (1 / allocate.perSecond + 1 / release.perSecond);
    if (kind === "grpc-js" && atOnce === 64) best = Math.max(best, both);
    rows.push([
      processes === 1 ? kind : `${processes} of ${kind}`,
      String(atOnce),
      ...cells(allocate),
      ...cells(release),
      formatRatio(both / BUDGET_PER_SECOND),
    ]);
  }
  return [{
    title: "rpc: allocations and releases from processes of their own",
    columns: [
      "client",
      "at once",
      ...["allocate", "release"].flatMap((what) => [
        `${what}/s`,
        "median ms",
        "p95 ms",
        "agent us",
        "client us",
      ]),
      "of budget",
    ],
    rows,
    notes: [
      "us: processor time for one call; the clients' is of all of them together.",
      `of budget: both together, against ${BUDGET_PER_SECOND} a second at 64 at once over gRPC;` +
      ` at best ${formatRatio(best / BUDGET_PER_SECOND)} of it.`,
      "fetch: Connect with JSON over HTTP/1.1.",
    ],
  }];
}

async function measure(
  clients: LoadClients,
  { count, atOnce }: { readonly count: number; readonly atOnce: number },
): Promise<{ readonly allocate: Load; readonly release: Load }> {
  const phase = { first: 0, count, atOnce };
  return {
    allocate: await clients.run({ ...phase, method: "AllocateIP" }),
    release: await clients.run({ ...phase, method: "ReleaseIP" }),
  };
}

function cells(load: Load): string[] {
  return [
    load.perSecond.toFixed(0),
    formatNumber(load.medianMs),
    formatNumber(load.p95Ms),
    load.agentUs.toFixed(0),
    load.clientUs.toFixed(0),
  ];
}
