import { setTimeout as delay } from "node:timers/promises";
import { CLUSTER_KINDS, HealthyCluster } from "../lab/healthy_clusters.ts";
import { allDone } from "../support/all_done.ts";
import type { BenchOptions, BenchReport } from "./report.ts";

const DEFAULT_MINUTES = 60;
/** Time between two examinations of a cluster. */
const EVERY_MS = 30_000;
const QUICK_ROUNDS = 1;

/**
 * Watches healthy clusters of all kinds side by side: what their agents
 * complain about in `doctor`, `status`, `node list` and the logs while
 * containers come and go. The process ends with 1 when there is anything.
 */
export async function benchKinds(
  { quick, minutes = DEFAULT_MINUTES }: BenchOptions,
): Promise<readonly BenchReport[]> {
  const rounds = quick ? QUICK_ROUNDS : Math.ceil(minutes * 60_000 / EVERY_MS);
  const clusters: HealthyCluster[] = [];
  try {
    // One after the other, so that all have settled when the watch begins.
    for (const kind of quick ? CLUSTER_KINDS.slice(0, 1) : CLUSTER_KINDS) {
      clusters.push(await HealthyCluster.create(kind));
    }
    const complaints = new Map<HealthyCluster, string[]>(
      clusters.map((cluster) => [cluster, []]),
    );
    const startedMs = performance.now();
    for (let round = 1; round <= rounds; round++) {
      for (const [cluster, list] of complaints) {
        await cluster.replace();
        for (const text of await cluster.complaints()) {
          list.push(text);
          console.log(
            `${new Date().toISOString()} ${cluster.kind.name}: ${text}`,
          );
        }
      }
      const dueMs = startedMs + round * EVERY_MS - performance.now();
      if (!quick && dueMs > 0) await delay(dueMs);
    }
    const seconds = (performance.now() - startedMs) / 1_000;
    if ([...complaints.values()].some((list) => list.length > 0)) {
      Deno.exitCode = 1;
    }
    return [{
      title: `kinds: ${seconds.toFixed(0)} s, ${rounds} rounds`,
      columns: ["", "warnings", "allowed"],
      rows: [...complaints].map(([{ kind }, list]) => [
        ...[kind.name, `${list.length}`, "0"],
      ]),
      notes: [
        "A round: a container is replaced; then doctor with the peer's name on both hosts, status, node list, the logs, and pings between containers.",
      ],
    }];
  } finally {
    await allDone(clusters.map((cluster) => cluster[Symbol.asyncDispose]()));
  }
}
