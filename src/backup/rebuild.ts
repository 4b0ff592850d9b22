import { Batch } from "../ledger/model.ts";
import { ClusterSnapshot } from "../member/snapshot.ts";
import { restoredPut } from "../registry/restore_grace.ts";
import { ClusterView } from "../registry/feed.ts";
import { poolKey, readPool } from "../state/address_records.ts";
import {
  CLUSTER_PREFIX,
  clusterWrites,
  REVISION_KEY,
} from "../state/cluster_records.ts";
import { migrateState } from "../state/schema.ts";
import { deleteAll, type Store } from "../store/store.ts";
import type { BackupPart } from "./format/read.ts";
import { nodesWithAddresses } from "./migration_checks.ts";
import type { RebuildSummary } from "./port.ts";
import {
  type MemberReport,
  planRebuild,
  type RebuildPlan,
  refuseRebuild,
} from "./rebuild_plan.ts";
import { loadBackup, refuseNewer } from "./restore.ts";

/** How far the new registry's revision is ahead of the last one that a member knows: the lost registry may have gone on. */
const REVISION_JUMP = 1_000_000;

/** Options of {@linkcode rebuildRegistry}. */
export interface RebuildOptions {
  /** The state of a stopped agent that has joined the lost registry. */
  readonly store: Store;
  /** Reports of other members. Default: none. */
  readonly reports?: readonly MemberReport[];
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
 * its agent has not joined one, and as `planRebuild` does
 */
export async function rebuildRegistry(
  { store, reports = [], settleMs, dryRun, now }: RebuildOptions,
): Promise<RebuildSummary> {
  if (await store.get(["cluster", "config"])) {
    throw refuseRebuild(`there is a registry in ${store.url} already`);
  }
  const report = await readMember(store);
  if (!report) {
    throw refuseRebuild(
      `the state in ${store.url} is not that of a node that has joined a cluster`,
    );
  }
  const nowMs = now();
  const own = report.node;
  const plan = planRebuild([report, ...reports], { own, nowMs });
  if (!dryRun) await writeRegistry(store, plan, { settleMs, nowMs });
  return plan.summary;
}

/**
 * Writes a rebuilt registry into a new state, that of a host without a node.
 * All subnets are reserved for their nodes.
 */
export async function fillNewState(
  store: Store,
  plan: RebuildPlan,
  grace: { readonly settleMs: number; readonly nowMs: number },
): Promise<void> {
  await migrateState(store);
  await writeRegistry(store, plan, grace);
}

/**
 * Reads a member's backup as its report.
 *
 * @param parts the backup
 * @param scratch an empty store
 * @throws {NetError} `failed_precondition` when the backup is damaged or not a member's
 */
export async function readReport(
  parts: AsyncIterable<BackupPart>,
  { file, scratch }: { readonly file: string; readonly scratch: Store },
): Promise<MemberReport> {
  await loadBackup(scratch, withoutHistory(parts));
  if (await scratch.get(["cluster", "config"])) {
    throw refuseRebuild(
      `"${file}" is a backup of a host of the registry; bring that registry back with "stellar-net restore"`,
    );
  }
  const report = await readMember(scratch);
  if (report) return report;
  throw refuseRebuild(
    `"${file}" is not a backup of a node that has joined a cluster`,
  );
}

/** The parts of a backup that tell about the cluster. */
async function* withoutHistory(
  parts: AsyncIterable<BackupPart>,
): AsyncGenerator<BackupPart> {
  for await (const part of parts) {
    if (part.kind === "header") refuseNewer(part.header);
    else if (!/^(?:agent|cluster|ip|snapshot)$/.test(`${part.entry.key[0]}`)) {
      continue;
    }
    yield part;
  }
}

/** Reads what a member knows; undefined when its agent has not joined a cluster. */
async function readMember(store: Store): Promise<MemberReport | undefined> {
  const view = new ClusterView();
  const { config } = await ClusterSnapshot.load(store, view);
  const own = (await nodesWithAddresses(store))
    .filter((name) => view.nodes.has(name));
  const [node] = own;
  if (!config || node === undefined || own.length > 1) return undefined;
  const instance = await store.get(["agent", "instance"]);
  const pool = await store.get(poolKey(node));
  return {
    ...{ node, config, view, instanceId: String(instance?.value ?? "") },
    held: pool ? readPool(pool).map(({ subnet }) => subnet) : [],
  };
}

async function writeRegistry(
  store: Store,
  { config, revision, changes }: RebuildPlan,
  { settleMs, nowMs }: { readonly settleMs: number; readonly nowMs: number },
): Promise<void> {
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
      { key: REVISION_KEY, value: revision + REVISION_JUMP },
      restoredPut({ takenAtMs: nowMs, settleMs }),
    ],
    deletes: [["agent", "fenced"]],
  });
  await store.commit(batch.commit());
}
