import { type ClusterChange, ClusterState } from "./plan/cluster_state.ts";
import { formatPrefix, type Prefix } from "../net/prefix.ts";
import type { Change, JsonValue, Store, Version } from "../store/store.ts";
import {
  CLUSTER_PREFIX,
  clusterWrites,
  readClusterEntry,
  readClusterRemoval,
  REVISION_KEY,
} from "../state/cluster_records.ts";
import { handoverKey, poolKey } from "../state/address_records.ts";
import { isMigrationMark, refuseMarked } from "../state/migration_marks.ts";
import {
  type ForeignCommit,
  type LedgerModel,
  readForeignCommits,
  type Writes,
} from "../ledger/model.ts";
import { Ledger, type LedgerOptions } from "../ledger/ledger.ts";

/** A change of the registry: of the cluster, or of a node's pool. */
export type RegistryChange =
  | ClusterChange
  | {
    readonly kind: "open pool";
    readonly node: string;
    readonly subnets: readonly Prefix[];
  }
  | {
    readonly kind: "close pool";
    readonly node: string;
    /** Version of the pool for which it held nothing. */
    readonly version: Version | null;
  }
  /** Another agent has raised the revision. */
  | { readonly kind: "revision"; readonly revision: number }
  /** The node's agent has to take over the addresses of the pool. */
  | {
    readonly kind: "hand over pool";
    readonly node: string;
    readonly subnets: readonly Prefix[];
    /** Version of the pool. */
    readonly version: Version | null;
  };

/** Reads the commits of other agents from the changes of the registry's store; undefined: the state has to be loaded again. */
export function readClusterCommits(
  changes: readonly Change[],
): ForeignCommit<RegistryChange>[] | undefined {
  // Loading the state tells whether the registry may be used.
  if (changes.some(({ key }) => isMigrationMark(key))) return undefined;
  return readForeignCommits(REVISION_KEY, changes, (change) => {
    const [, kind] = change.key;
    if (kind === "revision") {
      return { kind, revision: Number(change.value) };
    }
    return change.value === null
      ? readClusterRemoval(change.key)
      : readClusterEntry({ ...change, value: change.value });
  });
}

export type ClusterLedger = Ledger<ClusterState, RegistryChange>;

/** Creates the ledger of the cluster in a store. */
export function createClusterLedger(
  options: LedgerOptions<RegistryChange>,
): ClusterLedger {
  return new Ledger(new ClusterModel(), options);
}

/** The cluster in memory and in the store. */
class ClusterModel implements LedgerModel<ClusterState, RegistryChange> {
  readonly guard = REVISION_KEY;
  guardValue(state: ClusterState): JsonValue {
    return ++state.revision;
  }

  writes(_state: ClusterState, change: RegistryChange): Writes {
    switch (change.kind) {
      case "open pool":
        return {
          puts: [{
            key: poolKey(change.node),
            value: { subnets: change.subnets.map(formatPrefix), cursors: [] },
          }],
        };
      case "close pool":
        return {
          checks: [{ key: poolKey(change.node), version: change.version }],
          deletes: [poolKey(change.node)],
        };
      case "hand over pool":
        return {
          checks: [{ key: poolKey(change.node), version: change.version }],
          deletes: [poolKey(change.node)],
          puts: [{
            key: handoverKey(change.node),
            value: { subnets: change.subnets.map(formatPrefix), cursors: [] },
          }],
        };
      case "revision":
        return {};
      default:
        return clusterWrites(change);
    }
  }

  apply(state: ClusterState, change: RegistryChange): void {
    switch (change.kind) {
      case "open pool":
      case "close pool":
      case "hand over pool":
        break;
      case "revision":
        state.revision = change.revision;
        break;
      default:
        state.apply(change);
    }
  }

  inverse(
    state: ClusterState,
    change: RegistryChange,
  ): RegistryChange | undefined {
    switch (change.kind) {
      case "node":
        return { ...change, record: state.nodes.get(change.name) };
      case "subnet": {
        const place = state.locate(change.subnet);
        return { ...change, record: place?.slices.get(place.index) };
      }
      case "route": {
        const record = state.routes.get(formatPrefix(change.destination));
        return { ...change, record };
      }
      case "open pool":
      case "close pool":
      case "hand over pool":
        return change;
      default:
        return undefined;
    }
  }

  undoGuard(state: ClusterState): void {
    state.revision--;
  }

  isNext(state: ClusterState, changes: readonly RegistryChange[]): boolean {
    return changes.every((change) =>
      change.kind !== "revision" || change.revision === state.revision + 1
    );
  }

  async load(
    store: Store,
  ): Promise<{ state: ClusterState; version: Version | null }> {
    const state = new ClusterState();
    const changes: ClusterChange[] = [];
    let version: Version | null = null;
    for await (const entry of store.list(CLUSTER_PREFIX)) {
      if (isMigrationMark(entry.key)) throw refuseMarked(store, entry);
      if (entry.key[1] === "revision") {
        state.revision = Number(entry.value);
        version = entry.version;
        continue;
      }
      const change = readClusterEntry(entry);
      if (change) changes.push(change);
    }
    // The networks first: all other records refer to them.
    changes.sort((a, b) =>
      Number(b.kind === "config") - Number(a.kind === "config")
    );
    for (const change of changes) state.apply(change);
    return { state, version };
  }
}
