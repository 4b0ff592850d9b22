import type { Address } from "../../net/address.ts";
import {
  type Carve,
  createCarve,
  sliceAt,
  sliceCount,
  sliceIndex,
  slicesOverlapping,
} from "../../net/carve.ts";
import { OffsetSet } from "../../net/offset_set.ts";
import {
  containsPrefix,
  formatPrefix,
  overlaps,
  parsePrefix,
  type Prefix,
} from "../../net/prefix.ts";

/** The cluster's configuration, made once. */
export interface ClusterConfig {
  /** Random. */
  readonly clusterId: string;
  /** The networks in their order; they do not overlap. */
  readonly networks: readonly Carve[];
  readonly createdAtMs: number;
}

/** A prefix that a host uses itself. */
export interface LocalPrefix {
  readonly prefix: Prefix;
  /** The interface that has it. */
  readonly device: string;
}

/** A known node. */
export interface NodeRecord {
  readonly name: string;
  /** Random id of its state; empty when it was registered over the API and runs no agent. */
  readonly instanceId: string;
  /** Its addresses as a next hop, at most one of each family. */
  readonly advertised: readonly Address[];
  /** URL of its agent's API; empty when other hosts cannot reach it. */
  readonly apiUrl: string;
  /** Its subnets, one of each network, or none. */
  readonly subnets: readonly Prefix[];
  /** The prefixes of its host that overlap a network. */
  readonly localPrefixes: readonly LocalPrefix[];
  readonly joinedAtMs: number;
}

/** The record of a slice that was ever used. */
export type SubnetRecord =
  | { readonly state: "owned"; readonly node: string; readonly sinceMs: number }
  | {
    readonly state: "released";
    readonly node: string;
    readonly sinceMs: number;
  }
  | {
    readonly state: "reserved";
    /** The node that it is reserved for; empty for nobody. */
    readonly node: string;
    /** For people; may be empty. */
    readonly reason: string;
    /** The node that reported the owner after a restore; undefined: an operator reserved it. */
    readonly reportedBy?: string;
    /** The node that released it before; undefined: it was never used. */
    readonly lastNode?: string;
    readonly sinceMs: number;
  };

/** An extra route. */
export interface RouteRecord {
  readonly destination: Prefix;
  readonly target: Address;
  readonly addedAtMs: number;
}

/** A change of the cluster's state. An undefined record is a removal. */
export type ClusterChange =
  | { readonly kind: "config"; readonly config: ClusterConfig }
  | {
    readonly kind: "node";
    readonly name: string;
    readonly record: NodeRecord | undefined;
  }
  | {
    readonly kind: "subnet";
    readonly subnet: Prefix;
    readonly record: SubnetRecord | undefined;
  }
  | {
    readonly kind: "route";
    readonly destination: Prefix;
    readonly record: RouteRecord | undefined;
  };

/** A prefix that a host uses: no slice that overlaps it is handed out. */
export interface Conflict extends LocalPrefix {
  readonly node: string;
}

/** A node whose prefixes overlap much of a network. */
export interface Blocker {
  readonly node: string;
  readonly network: Prefix;
  /** Number of slices that are not handed out because of them. */
  readonly blocked: bigint;
  /** Number of slices of the network. */
  readonly total: bigint;
  /** Prefixes that block nobody: they cover the whole network, or the node would block more than half of it. */
  readonly ignored: readonly LocalPrefix[];
}

/** The slices of one network that were ever used. */
export class NetworkSlices {
  readonly carve: Carve;
  readonly #records = new Map<bigint, SubnetRecord>();
  readonly #used: OffsetSet;

  constructor(carve: Carve) {
    this.carve = carve;
    this.#used = new OffsetSet(
      carve.subnetPrefixLength - carve.network.length,
    );
  }

  /** The record of a slice; undefined when it was never used. */
  get(index: bigint): SubnetRecord | undefined {
    return this.#records.get(index);
  }

  /** The used slices, in no order. */
  entries(): IterableIterator<[bigint, SubnetRecord]> {
    return this.#records.entries();
  }

  /** The first slice from an index on that was never used; undefined: none. */
  nextUnused(from: bigint): bigint | undefined {
    return this.#used.nextOut(from, sliceCount(this.carve) - 1n);
  }

  set(index: bigint, record: SubnetRecord | undefined): void {
    if (record) {
      this.#records.set(index, record);
      this.#used.add(index);
    } else {
      this.#records.delete(index);
      this.#used.delete(index);
    }
  }
}

/** The cluster as the registry knows it. */
export class ClusterState {
  /** Rises with every commit that changes something. */
  revision = 0;
  #config: ClusterConfig | undefined;
  #slices: readonly NetworkSlices[] = [];
  readonly #nodes = new Map<string, NodeRecord>();
  readonly #routes = new Map<string, RouteRecord>();

  /** Undefined until the cluster is created. */
  get config(): ClusterConfig | undefined {
    return this.#config;
  }

  /** The slices of each network, in the order of the networks. */
  get networks(): readonly NetworkSlices[] {
    return this.#slices;
  }

  /** The division of each network, in their order. */
  get carves(): readonly Carve[] {
    return this.#slices.map(({ carve }) => carve);
  }

  /** The known nodes, by name. */
  get nodes(): ReadonlyMap<string, NodeRecord> {
    return this.#nodes;
  }

  /** The extra routes, by destination. */
  get routes(): ReadonlyMap<string, RouteRecord> {
    return this.#routes;
  }

  /** The network and index of a slice; undefined when the prefix is not a slice. */
  locate(
    subnet: Prefix,
  ): { readonly slices: NetworkSlices; readonly index: bigint } | undefined {
    for (const slices of this.#slices) {
      const index = sliceIndex(slices.carve, subnet);
      if (index !== undefined) return { slices, index };
    }
    return undefined;
  }

  /** The node that owns a subnet; undefined: none. */
  ownerOf(subnet: Prefix): string | undefined {
    const place = this.locate(subnet);
    const record = place?.slices.get(place.index);
    return record?.state === "owned" ? record.node : undefined;
  }

  /** The prefix of a host that overlaps a prefix; undefined: none. */
  conflictWith(prefix: Prefix): Conflict | undefined {
    for (const conflict of this.conflicts()) {
      if (overlaps(conflict.prefix, prefix)) return conflict;
    }
    return undefined;
  }

  /** The prefixes of hosts that overlap a network: each once. */
  conflicts(): Iterable<Conflict> {
    return this.#conflicts.values();
  }
  readonly #conflicts = new Map<string, Conflict>();

  /**
   * The first slice that was never used and is not in conflict; undefined:
   * none.
   *
   * @param findConflict finds the prefix of a host that overlaps a slice
   */
  nextFree(
    slices: NetworkSlices,
    findConflict: (slice: Prefix) => LocalPrefix | undefined,
  ): Prefix | undefined {
    let from = 0n;
    while (true) {
      const index = slices.nextUnused(from);
      if (index === undefined) return undefined;
      const slice = sliceAt(slices.carve, index);
      const conflict = findConflict(slice);
      if (!conflict) return slice;
      from = slicesOverlapping(slices.carve, conflict.prefix)!.last + 1n;
    }
  }

  /** Carries out a planned change. */
  apply(change: ClusterChange): void {
    switch (change.kind) {
      case "config":
        this.#config = change.config;
        this.#slices = change.config.networks.map((c) => new NetworkSlices(c));
        break;
      case "node":
        if (change.record) this.#nodes.set(change.name, change.record);
        else this.#nodes.delete(change.name);
        this.#collectConflicts();
        break;
      case "subnet": {
        const place = this.locate(change.subnet);
        place?.slices.set(place.index, change.record);
        break;
      }
      case "route":
        if (change.record) {
          this.#routes.set(formatPrefix(change.destination), change.record);
        } else this.#routes.delete(formatPrefix(change.destination));
        break;
    }
  }

  /** The nodes whose prefixes block more than a tenth of a network, or would block more than half. */
  blockers(): Iterable<Blocker> {
    return this.#blockers;
  }
  #blockers: Blocker[] = [];

  #collectConflicts(): void {
    this.#conflicts.clear();
    this.#blockers = [];
    for (const { name, localPrefixes } of this.#nodes.values()) {
      for (const { carve } of this.#slices) {
        const ignored: LocalPrefix[] = [];
        const total = sliceCount(carve);
        let blocked = 0n;
        // An address and the route that it makes have one prefix, and several
        // prefixes can be in one slice: each slice counts once.
        let next = 0n;
        const ranges = localPrefixes.flatMap((local) => {
          const range = slicesOverlapping(carve, local.prefix);
          return range ? [{ local, ...range }] : [];
        }).sort((a, b) =>
          a.first < b.first
            ? -1
            : a.first > b.first
            ? 1
            : Number(b.last - a.last)
        );
        for (const { local, first, last } of ranges) {
          const from = first > next ? first : next;
          const count = last < from ? 0n : last - from + 1n;
          const isWide = containsPrefix(local.prefix, carve.network);
          if (isWide || 2n * (blocked + count) > total) {
            ignored.push(local);
            continue;
          }
          next = from + count;
          blocked += count;
          const key = formatPrefix(local.prefix);
          if (!this.#conflicts.has(key)) {
            this.#conflicts.set(key, { ...local, node: name });
          }
        }
        if (10n * blocked <= total && ignored.length === 0) continue;
        const { network } = carve;
        this.#blockers.push({ node: name, network, blocked, total, ignored });
      }
    }
  }
}

/** The network of a cluster that is created without one. */
export const DEFAULT_NETWORK: Carve = createCarve(parsePrefix("172.16.0.0/12"));
