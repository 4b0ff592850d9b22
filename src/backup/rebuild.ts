import { NetError } from "../base/error.ts";
import { Batch } from "../ledger/model.ts";
import { ClusterSnapshot } from "../member/snapshot.ts";
import type { ClusterChange } from "../registry/plan/cluster_state.ts";
import { createNode } from "../registry/plan/cluster_plan.ts";
import { restoredPut } from "../registry/restore_grace.ts";
import { ClusterView } from "../registry/feed.ts";
import {
  CLUSTER_PREFIX,
  clusterWrites,
  REVISION_KEY,
} from "../state/cluster_records.ts";
import { deleteAll, type Store } from "../store/store.ts";
import { nodesWithAddresses } from "./migration_checks.ts";
import type { RebuildSummary } from "./port.ts";

/** How far the new registry's revision is ahead of the last one that this node knows: the lost registry may have gone on. */
const REVISION_JUMP = 1_000_000;

/** Options of {@linkcode rebuildRegistry}. */
export interface RebuildOptions {
  /** The state of a stopped agent that has joined the lost registry. */
  readonly store: Store;
  /** Length of the grace period in which members come back, in ms. */
  readonly settleMs: number;
  /** Reports, and writes nothing. */
  readonly dryRun: boolean;
  /** The time in ms since 1970. */
  readonly now: () => number;
}

/**
 * Rebuilds a registry that was lost without a backup, in the state of one of
 * its members, from the snapshot of the cluster that the member keeps.
 *
 * The member's own node keeps its record. Each other node's subnets are
 * reserved for it until it joins with them; during the grace period the members
 * that join report the owners that they remember, as after a restore.
 *
 * @throws {NetError} `failed_precondition` when the state has a registry, or
 * its agent has not joined one
 */
export async function rebuildRegistry(
  { store, settleMs, dryRun, now }: RebuildOptions,
): Promise<RebuildSummary> {
  if (await store.get(["cluster", "config"])) {
    throw refusal(`there is a registry in ${store.url} already`);
  }
  const view = new ClusterView();
  const { config } = await ClusterSnapshot.load(store, view);
  const own = (await nodesWithAddresses(store))
    .filter((name) => view.nodes.has(name));
  const [node] = own;
  if (!config || node === undefined || own.length > 1) {
    throw refusal(
      `the state in ${store.url} is not that of a node that has joined a cluster`,
    );
  }
  const instance = await store.get(["agent", "instance"]);
  const nowMs = now();
  const nodes = [...view.nodes.values()];
  const changes = nodes.flatMap(({ name, subnets }): ClusterChange[] =>
    subnets.map((subnet) => ({
      kind: "subnet",
      subnet,
      record: name === node ? { state: "owned", node, sinceMs: nowMs } : {
        ...{ state: "reserved", node: name, sinceMs: nowMs },
        reason: `${name} had it in the registry that was lost`,
      },
    }))
  );
  const { advertised, apiUrl, subnets, joinedAtMs } = view.nodes.get(node)!;
  changes.push({
    kind: "node",
    name: node,
    record: {
      ...createNode(node, joinedAtMs),
      ...{ instanceId: String(instance?.value ?? ""), advertised, apiUrl },
      subnets,
    },
  });
  for (const record of view.routes.values()) {
    changes.push({ kind: "route", destination: record.destination, record });
  }
  const summary: RebuildSummary = {
    clusterId: config.clusterId,
    node,
    revision: view.revision,
    nodes: nodes.map(({ name, subnets, state }) => ({
      name,
      subnets,
      hasAgent: state !== "no agent",
    })),
    routes: view.routes.size,
  };
  if (dryRun) return summary;
  // What an attempt that was killed has left. The configuration comes last:
  // without it there is no registry.
  await deleteAll(store, CLUSTER_PREFIX);
  let batch = new Batch(store.limits);
  for (const change of changes) {
    batch.add(clusterWrites(change));
    if (!batch.isFull) continue;
    await store.commit(batch.commit());
    batch = new Batch(store.limits);
  }
  if (!batch.isEmpty) await store.commit(batch.commit());
  batch = new Batch(store.limits);
  batch.add(clusterWrites({ kind: "config", config }));
  batch.add({
    puts: [
      { key: REVISION_KEY, value: view.revision + REVISION_JUMP },
      restoredPut({ takenAtMs: nowMs, settleMs }),
    ],
    deletes: [["agent", "fenced"]],
  });
  await store.commit(batch.commit());
  return summary;
}

function refusal(problem: string): NetError {
  return new NetError(
    "failed_precondition",
    `Cannot rebuild the registry: ${problem}`,
  );
}
