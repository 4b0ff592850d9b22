import type {
  ClusterConfig,
  NodeRecord,
  RouteRecord,
} from "../registry/plan/state.ts";
import { formatPrefix } from "../net/prefix.ts";
import type { JsonValue, Key, Store, Version } from "../store/store.ts";
import {
  CLUSTER_PREFIX,
  readClusterEntry,
  REVISION_KEY,
} from "../state/cluster_records.ts";
import { poolKey, readPool } from "../state/address_records.ts";
import {
  isMigrationMark,
  MIGRATING_KEY,
  type MigratingMark,
  MOVED_KEY,
  type MovedMark,
  readMigratingMark,
  readMovedMark,
} from "../state/migration_marks.ts";

/** Comes behind every key that begins with the same name. */
const LAST_PART = Number.MAX_SAFE_INTEGER;

/** A registry as it lies in a store, whether it is used or not. */
export interface StoredRegistry {
  readonly store: Store;
  readonly isEmpty: boolean;
  readonly config: ClusterConfig | undefined;
  readonly nodes: readonly NodeRecord[];
  readonly routes: readonly RouteRecord[];
  readonly moved: MovedMark | undefined;
  readonly migrating: MigratingMark | undefined;
  /** The value of its counter. */
  readonly revision: JsonValue;
  /** Versions of its counter and its marks, by key as JSON; null where there is none. */
  readonly versionOf: (key: Key) => Version | null;
  /** The id of the agent whose own state is in the same store; undefined where that is none's. */
  readonly instanceId: string | undefined;
}

/** Reads a registry. @throws {NetError} `failed_precondition` when it is damaged */
export async function readStoredRegistry(
  store: Store,
): Promise<StoredRegistry> {
  let config: ClusterConfig | undefined;
  let revision: JsonValue = 0;
  let isEmpty = true;
  const marks: { moved?: MovedMark; migrating?: MigratingMark } = {};
  const nodes: NodeRecord[] = [];
  const routes: RouteRecord[] = [];
  const versions = new Map<string, Version>();
  for await (const entry of store.list(CLUSTER_PREFIX)) {
    const { key, value, version } = entry;
    isEmpty = false;
    if (isMigrationMark(key)) {
      versions.set(JSON.stringify(key), version);
      if (key[1] === MOVED_KEY[1]) marks.moved = readMovedMark(entry);
      else marks.migrating = readMigratingMark(entry);
      continue;
    }
    if (key[1] === REVISION_KEY[1]) {
      versions.set(JSON.stringify(key), version);
      revision = value;
    }
    const change = readClusterEntry(entry);
    if (change?.kind === "config") config = change.config;
    if (change?.kind === "node" && change.record) nodes.push(change.record);
    if (change?.kind === "route" && change.record) routes.push(change.record);
  }
  const instance = await store.get(["agent", "instance"]);
  return {
    ...{ store, isEmpty, config, revision, nodes, routes },
    moved: marks.moved,
    migrating: marks.migrating,
    versionOf: (key) => versions.get(JSON.stringify(key)) ?? null,
    instanceId: typeof instance?.value === "string"
      ? instance.value
      : undefined,
  };
}

/** The keys whose versions a commit to the registry checks when its marks change. */
export const MARK_CHECKS: readonly Key[] = [
  REVISION_KEY,
  MOVED_KEY,
  MIGRATING_KEY,
];

/** The nodes of the agent whose own state is in a store; none where that is none's. */
export function ownNodes(
  nodes: readonly NodeRecord[],
  instanceId: string | undefined,
): NodeRecord[] {
  return nodes.filter((node) =>
    instanceId !== undefined && node.instanceId === instanceId
  );
}

/** The nodes of whose addresses a store has anything. */
export async function nodesWithAddresses(store: Store): Promise<string[]> {
  const nodes: string[] = [];
  let after: Key | undefined;
  for (;;) {
    let node: string | undefined;
    const page = { limit: 1, ...after && { after } };
    for await (const { key } of store.list(["ip"], page)) node = String(key[1]);
    if (node === undefined) return nodes;
    nodes.push(node);
    after = ["ip", node, LAST_PART];
  }
}

/** Whether a store hands out addresses of just the subnets that a node has. */
export async function hasPoolOf(
  store: Store,
  node: NodeRecord,
): Promise<boolean> {
  const entry = await store.get(poolKey(node.name));
  const has = entry ? readPool(entry).map(({ subnet }) => subnet) : [];
  const text = (subnets: NodeRecord["subnets"]) =>
    JSON.stringify(subnets.map(formatPrefix).sort());
  return text(has) === text(node.subnets);
}
