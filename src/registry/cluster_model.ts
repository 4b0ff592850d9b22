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

/** A change of the registry: of the cluster, or of the pool that a node allocates from. */
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
    /** The pool as it was when it held nothing. */
    readonly version: Version | null;
  }
  /** Somebody else has raised the counter. */
  | { readonly kind: "revision"; readonly revision: number }
  /** What the pool holds is for the node's agent to take over. */
  | {
    readonly kind: "hand over pool";
    readonly node: string;
    readonly subnets: readonly Prefix[];
    /** The pool as it was. */
    readonly version: Version | null;
  };

/** The commits of others, read from the changes of the registry's store; undefined when all may be different. */
export function readClusterCommits(
  changes: readonly Change[],
): ForeignCommit<RegistryChange>[] | undefined {
  // What it is worth now is for a new look to tell.
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

/** The ledger of the cluster. */
export type ClusterLedger = Ledger<ClusterState, RegistryChange>;

/** Makes the ledger of the cluster whose state is in a store. */
export function createClusterLedger(
  options: LedgerOptions<RegistryChange>,
): ClusterLedger {
  return new Ledger(new ClusterModel(), options);
}

/** How the cluster is kept in memory and in the store. */
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

  takeBackGuard(state: ClusterState): void {
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
    // The networks come first: everything else is placed in them.
    changes.sort((a, b) =>
      Number(b.kind === "config") - Number(a.kind === "config")
    );
    for (const change of changes) state.apply(change);
    return { state, version };
  }
}
