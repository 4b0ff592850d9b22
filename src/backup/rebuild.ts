import { Batch } from "../ledger/model.ts";
import { ClusterSnapshot } from "../member/snapshot.ts";
import type { NetError } from "../base/error.ts";
import { restoredPut } from "../registry/restore_grace.ts";
import { ClusterView } from "../registry/feed.ts";
import { poolKey, readPool } from "../state/address_records.ts";
import {
  CLUSTER_PREFIX,
  clusterWrites,
  REVISION_KEY,
} from "../state/cluster_records.ts";
import {
  FROM_MEMBERS,
  isMigrationMark,
  MIGRATING_KEY,
  type MigratingMark,
} from "../state/migration_marks.ts";
import { migrateState } from "../state/schema.ts";
import type { Key, Store } from "../store/store.ts";
import type { BackupPart } from "./format/read.ts";
import { nodesWithAddresses, readStoredRegistry } from "./migration_checks.ts";
import type { RebuildSummary } from "./port.ts";
import {
  type MemberReport,
  planRebuild,
  type RebuildPlan,
  refuseRebuild,
} from "./rebuild_plan.ts";
import { loadBackup, refuseNewer } from "./restore.ts";

const CONFIG_KEY: Key = [...CLUSTER_PREFIX, "config"];

/** Lead of the new registry's revision over the last one that a member knows: the lost registry may have gone on. */
const REVISION_JUMP = 1_000_000;

/** Options of {@linkcode rebuildRegistry}. */
export interface RebuildOptions {
  /** The state of a stopped agent that has joined the lost registry. */
  readonly store: Store;
  /** The store of the new registry. Default: that state. */
  readonly target?: Store;
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
 * Rebuilds a registry that was lost without a backup, from the snapshot of the
 * cluster that one of its members keeps, in that member's state or in another
 * store.
 *
 * The member's own node keeps its record. Each other node's subnets are
 * reserved for it until it joins with them; during the grace period the members
 * that join report the owners that they remember, as after a restore.
 *
 * @throws {NetError} `failed_precondition` when the state or the other store
 * has a registry, or the state's agent has not joined one, and as `planRebuild`
 * does
 */
export async function rebuildRegistry(options: RebuildOptions): Promise<
  RebuildSummary
> {
  const { store, target = store, reports = [], settleMs, dryRun } = options;
  await checkOwn(store, target);
  const remains = await checkUnused(target);
  const report = await readMember(store);
  if (!report) {
    throw refuseRebuild(
      `the state in ${store.url} is not that of a node that has joined a cluster`,
    );
  }
  const nowMs = options.now();
  const own = report.node;
  const plan = planRebuild([report, ...reports], { own, nowMs });
  checkRemains(remains, { url: target.url, clusterId: plan.config.clusterId });
  const summary = { store: target.url, ...plan.summary };
  if (dryRun) return summary;
  await writeRegistry(target, plan, { settleMs, nowMs });
  await store.commit({ deletes: [["agent", "fenced"]] });
  return summary;
}

/** Options of {@linkcode rebuildWithoutState}. */
export type RebuildWithoutStateOptions =
  & Pick<RebuildOptions, "settleMs" | "dryRun" | "now">
  & {
    /** Reports of members, at least one. */
    readonly reports: readonly MemberReport[];
    /** The store of the new registry. */
    readonly target: Store;
  };

/**
 * The same on a host without a state, from reports alone: all subnets are
 * reserved for their nodes.
 *
 * @throws {NetError} as {@linkcode rebuildRegistry} does
 */
export async function rebuildWithoutState(
  { reports, target, settleMs, dryRun, now }: RebuildWithoutStateOptions,
): Promise<RebuildSummary> {
  const nowMs = now();
  const plan = planRebuild(reports, { own: undefined, nowMs });
  checkRemains(await checkUnused(target), {
    url: target.url,
    clusterId: plan.config.clusterId,
  });
  if (!dryRun) await writeRegistry(target, plan, { settleMs, nowMs });
  return { store: target.url, ...plan.summary };
}

/** Refuses the state of an agent that hosts a registry itself. */
async function checkOwn(store: Store, target: Store): Promise<void> {
  if (store === target) return;
  const { config, moved } = await readStoredRegistry(store);
  if (!config || moved?.isComplete) return;
  throw refuseRebuild(
    `there is a registry in ${store.url}; move it with "stellar-net store migrate"`,
  );
}

/** Refuses a store with a registry. @returns the mark of a registry that is not complete */
async function checkUnused(target: Store): Promise<MigratingMark | undefined> {
  const { config, migrating, moved } = await readStoredRegistry(target);
  if (!migrating && (config || moved)) {
    throw refuseRebuild(`there is a registry in ${target.url} already`);
  }
  return migrating;
}

/** Refuses a store with something else than what a killed attempt has left. */
function checkRemains(
  mark: MigratingMark | undefined,
  { url, clusterId }: { readonly url: string; readonly clusterId: string },
): void {
  if (!mark) return;
  const isRebuilt = mark.from === FROM_MEMBERS;
  if (isRebuilt && mark.clusterId === clusterId) return;
  throw refuseRebuild(
    `${url} has a part of the registry of cluster ${mark.clusterId}; name an empty store${
      isRebuilt ? "" : `, or finish the move from ${mark.from}`
    }`,
  );
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

/**
 * Writes a registry. Until it is complete, a mark keeps agents from using what
 * is there, or from creating another cluster in its place.
 */
async function writeRegistry(
  store: Store,
  { config, revision, changes }: RebuildPlan,
  { settleMs, nowMs }: { readonly settleMs: number; readonly nowMs: number },
): Promise<void> {
  await migrateState(store);
  const mark: MigratingMark = {
    id: crypto.randomUUID(),
    from: FROM_MEMBERS,
    clusterId: config.clusterId,
  };
  const unused = { key: CONFIG_KEY, version: null };
  const begun = await store.commit({
    checks: [unused],
    puts: [{ key: MIGRATING_KEY, value: { ...mark } }],
  });
  if (!begun.committed) throw disturbed(store);
  await removeRemains(store);
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
    deletes: [MIGRATING_KEY],
  });
  const { committed } = await store.commit({
    ...batch.commit(),
    checks: [unused, { key: MIGRATING_KEY, version: begun.version }],
  });
  if (!committed) throw disturbed(store);
}

/** Deletes what an attempt that was killed has left, except for its mark. */
async function removeRemains(store: Store): Promise<void> {
  const keys: Key[] = [];
  for await (const { key } of store.list(CLUSTER_PREFIX)) {
    if (!isMigrationMark(key)) keys.push(key);
  }
  const most = Math.floor(store.limits.maxMutations / 2);
  for (let i = 0; i < keys.length; i += most) {
    await store.commit({ deletes: keys.slice(i, i + most) });
  }
}

function disturbed({ url }: Store): NetError {
  return refuseRebuild(`another process has changed ${url} meanwhile`);
}
