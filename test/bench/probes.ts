import { setTimeout as delay } from "node:timers/promises";
import { MAX_NEIGHBOURS } from "../../src/probe/plan/schedule.ts";
import { LineProcess } from "./line_process.ts";
import type { ProbeRole, ProbeTraffic } from "./probe_client.ts";
import { processorMs, residentMiB } from "./proc_stat.ts";
import {
  type BenchOptions,
  type BenchReport,
  formatNumber,
  formatRatio,
} from "./report.ts";

const FULL = { nodes: 4_096, settleMs: 10_000, measureMs: 30_000 };
const QUICK = { nodes: 64, settleMs: 3_000, measureMs: 1_000 };
/** Packets a second that a host may send, and ms of a core that it may use for them. */
const BUDGET = { packets: 16, processorMs: 10 };

/**
 * What probes cost one host: the real prober in a process of its own, and
 * another process that answers for all of its peers over UDP.
 */
export async function benchProbes(
  { quick }: BenchOptions,
): Promise<readonly BenchReport[]> {
  const { nodes, ...times } = quick ? QUICK : FULL;
  const rows = [];
  const memory = [];
  for (
    const [what, role] of [
      ["3 nodes", { nodes: 3, changes: 0 }],
      [`${nodes} nodes`, { nodes, changes: 0 }],
      [`${nodes} nodes, 10 changes a second`, { nodes, changes: 10 }],
    ] as const
  ) {
    const found = await measure(role, times);
    memory.push(found.residentMiB.toFixed(0));
    rows.push([
      what,
      formatNumber(found.packets),
      formatNumber(found.bytes),
      formatNumber(found.processorMs),
      formatRatio(
        Math.max(
          found.packets / BUDGET.packets,
          found.processorMs / BUDGET.processorMs,
        ),
      ),
    ]);
  }
  return [{
    title: "probes: what a host sends and uses in a second",
    columns: ["", "packets", "bytes", "processor ms", "of the budget"],
    rows,
    notes: [
      "The processor time is that of a process that does nothing else; in addition, it receives as many packets as it sends.",
      `Resident memory of that process, in the order of the rows: ${
        memory.join(", ")
      } MiB.`,
    ],
  }];
}

/** Runs a host and its peers. @throws {Error} when the host does not find its neighbours alive */
async function measure(
  cluster: Omit<ProbeRole, "role">,
  { settleMs, measureMs }: {
    readonly settleMs: number;
    readonly measureMs: number;
  },
) {
  await using peers = new LineProcess("probe_client.ts");
  await using host = new LineProcess("probe_client.ts");
  const ask = () => host.ask<ProbeTraffic>({ role: "host", ...cluster });
  await peers.ask({ role: "peers", ...cluster });
  await ask();
  await delay(settleMs);
  const before = await ask();
  const startMs = performance.now();
  const usedMs = processorMs(host.pid);
  await delay(measureMs);
  const seconds = (performance.now() - startMs) / 1_000;
  const processor = (processorMs(host.pid) - usedMs) / seconds;
  const after = await ask();
  const neighbours = Math.min(MAX_NEIGHBOURS, cluster.nodes - 1);
  if (after.alive < neighbours) {
    throw new Error(
      `Cannot measure probes: ${after.alive} paths are alive, and there are ${neighbours} neighbours`,
    );
  }
  return {
    packets: (after.packets - before.packets) / seconds,
    bytes: (after.bytes - before.bytes) / seconds,
    processorMs: processor,
    residentMiB: residentMiB(host.pid),
  };
}
