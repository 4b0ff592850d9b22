import type {
  ClusterConfig,
  NodeRecord,
  RouteRecord,
} from "../registry/plan/cluster_state.ts";
import { NetError } from "../base/error.ts";
import type { JsonValue, Key, Store, Version } from "../store/store.ts";
import { handoverKey, poolKey, readPool } from "../state/address_records.ts";
import { readSchemaVersion, SCHEMA_VERSION } from "../state/schema.ts";
import { type RegistryPart, registryParts } from "./migration_copy.ts";
import { formatPrefix } from "../net/prefix.ts";
import {
  CLUSTER_PREFIX,
  readClusterEntry,
  REVISION_KEY,
} from "../state/cluster_records.ts";
import {
  FROM_MEMBERS,
  isMigrationMark,
  MIGRATING_KEY,
  type MigratingMark,
  MOVED_KEY,
  type MovedMark,
  readMigratingMark,
  readMovedMark,
} from "../state/migration_marks.ts";

export interface MigrationStores {
  readonly source: Store;
  readonly target: Store;
}

/** The findings before a migration. */
export interface Inspection {
  readonly source: StoredRegistry;
  readonly target: StoredRegistry;
  readonly config: ClusterConfig;
  /** The parts to move. */
  readonly parts: readonly RegistryPart[];
  /** Whether both stores have the marks of one attempt. */
  readonly isResumed: boolean;
}

/**
 * Checks whether a registry can move.
 *
 * @throws {NetError} `failed_precondition` when there is none, when it has
 * moved already, or when the other store has one or addresses of other nodes
 */
export async function inspectMigration(
  stores: MigrationStores,
): Promise<Inspection> {
  const { url: to } = stores.target;
  if (stores.source.url === to) {
    throw refusal(`"--from" and "--to" are the same store, ${to}`);
  }
  await refuseNewer(stores.source);
  await refuseNewer(stores.target);
  const source = await readStoredRegistry(stores.source);
  const target = await readStoredRegistry(stores.target);
  const isResumed = source.moved !== undefined &&
    source.moved.id === target.migrating?.id;
  const config = checkSource(source, { to, isResumed });
  checkTarget(target, config.clusterId);
  const own = ownNodes(source.nodes, target.instanceId);
  for (const node of own) {
    if (
      await stores.source.get(handoverKey(node.name)) === null &&
      await hasPoolOf(stores.target, node)
    ) continue;
    throw refusal(
      `node "${node.name}", whose state is in ${to}, has not taken over what the registry has for it; start its agent once more with the store that the registry is in, and stop it when it has joined`,
    );
  }
  const names = new Set(own.map(({ name }) => name));
  await refuseStrangers(target, names);
  for (const node of ownNodes(source.nodes, source.instanceId)) {
    names.add(node.name);
  }
  return { source, target, config, parts: registryParts(names), isResumed };
}

function checkSource(
  source: StoredRegistry,
  { to, isResumed }: { readonly to: string; readonly isResumed: boolean },
): ClusterConfig {
  const { store: { url }, config, moved, migrating } = source;
  if (migrating) {
    const doing = migrating.from === FROM_MEMBERS
      ? 'its rebuilding was interrupted; run "stellar-net registry rebuild" again'
      : `its move from ${migrating.from} was interrupted; finish that one first`;
    throw refusal(`the registry in ${url} is not all there: ${doing}`);
  }
  if (moved?.isComplete && !isResumed) {
    throw refusal(
      moved.to === to
        ? `the registry has moved from ${url} to ${to} already; start the agents with that --store`
        : `the registry in ${url} has moved to ${moved.to}; name that with --from`,
    );
  }
  if (config) return config;
  throw refusal(
    `there is no registry in ${url}; name the store of an agent that hosts one, and the right --state`,
  );
}

/** An old copy of the same registry that is not in use may be replaced. */
function checkTarget(
  { store: { url }, isEmpty, config, moved, migrating }: StoredRegistry,
  clusterId: string,
): void {
  if (isEmpty) return;
  const isOld = moved !== undefined && config?.clusterId === clusterId;
  if (isOld || migrating?.clusterId === clusterId) return;
  throw refusal(
    config?.clusterId === clusterId
      ? `this cluster is in ${url} already, and in use there`
      : `${url} is not empty: the registry of another cluster is in it${
        config ? `, ${config.clusterId}` : ""
      }; name an empty one`,
  );
}

/**
 * Refuses a target with addresses of other nodes than its own agent's, unless
 * they are left over from an earlier copy of this registry.
 */
async function refuseStrangers(
  { store, nodes, isEmpty, instanceId }: StoredRegistry,
  own: ReadonlySet<string>,
): Promise<void> {
  // Nodes of this agent that the registry no longer knows.
  const lost = new Set(ownNodes(nodes, instanceId).map(({ name }) => name));
  for (const node of await nodesWithAddresses(store)) {
    if (own.has(node) || !(isEmpty || lost.has(node))) continue;
    throw refusal(
      `${store.url} has addresses of node "${node}", which this cluster does not know as the node of that state; ` +
        'if it was that of its agent, run "stellar-net node leave --force" there first',
    );
  }
}

async function refuseNewer(store: Store): Promise<void> {
  const version = await readSchemaVersion(store);
  if (version <= SCHEMA_VERSION) return;
  throw refusal(
    `the state in ${store.url} has version ${version} of the schema, and this program knows versions up to ${SCHEMA_VERSION}; use the newer program`,
  );
}

function refusal(problem: string): NetError {
  return new NetError(
    "failed_precondition",
    `Cannot move the registry: ${problem}`,
  );
}

/** Sorts behind every key that begins with the same name. */
const LAST_PART = Number.MAX_SAFE_INTEGER;

/** A registry in a store, whether it is in use or not. */
export interface StoredRegistry {
  readonly store: Store;
  readonly isEmpty: boolean;
  readonly config: ClusterConfig | undefined;
  readonly nodes: readonly NodeRecord[];
  readonly routes: readonly RouteRecord[];
  readonly moved: MovedMark | undefined;
  readonly migrating: MigratingMark | undefined;
  readonly revision: JsonValue;
  /** Versions of its revision and marks; null where there is none. */
  readonly versionOf: (key: Key) => Version | null;
  /** Id of the agent whose own state is in the same store; undefined: none. */
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

/** The keys that a commit checks when it changes the marks. */
export const MARK_CHECKS: readonly Key[] = [
  REVISION_KEY,
  MOVED_KEY,
  MIGRATING_KEY,
];

/** The nodes of the agent with this id. */
function ownNodes(
  nodes: readonly NodeRecord[],
  instanceId: string | undefined,
): NodeRecord[] {
  return nodes.filter((node) =>
    instanceId !== undefined && node.instanceId === instanceId
  );
}

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

/** Whether a node's pool in a store has exactly the node's subnets. */
async function hasPoolOf(
  store: Store,
  node: NodeRecord,
): Promise<boolean> {
  const entry = await store.get(poolKey(node.name));
  const has = entry ? readPool(entry).map(({ subnet }) => subnet) : [];
  const text = (subnets: NodeRecord["subnets"]) =>
    JSON.stringify(subnets.map(formatPrefix).sort());
  return text(has) === text(node.subnets);
}
