import type { RouteRecord } from "./plan/cluster_state.ts";
import type { Trust } from "../security/trust.ts";
import type { Address } from "../net/address.ts";
import { formatPrefix, type Prefix } from "../net/prefix.ts";

/** A node as the others see it. */
export interface ClusterNode {
  readonly name: string;
  readonly subnets: readonly Prefix[];
  /** The addresses to route through, at most one of each family. */
  readonly advertised: readonly Address[];
  /** URL of its agent's API; empty when it is not reached from other hosts. */
  readonly apiUrl: string;
  readonly state: "ready" | "unreachable" | "no agent";
  readonly joinedAtMs: number;
  /** When it was heard of last; undefined when not since the registry started. */
  readonly seenAtMs: number | undefined;
}

/** What a watcher is told. */
export interface ClusterEvent {
  /** Revision of the registry after it. */
  readonly revision: number;
  /** Whether the nodes and routes are all that there are. */
  readonly isSnapshot: boolean;
  readonly nodes: readonly ClusterNode[];
  readonly routes: readonly RouteRecord[];
  readonly removedNodes: readonly string[];
  /** Destinations in canonical form. */
  readonly removedRoutes: readonly string[];
  /** What others are checked with: in each snapshot, and where it has changed. Not from hosts that have none. */
  readonly trust?: Trust;
}

/** The nodes and extra routes as a watcher knows them. */
export class ClusterView {
  #revision = 0;
  readonly #nodes = new Map<string, ClusterNode>();
  readonly #routes = new Map<string, RouteRecord>();

  /** Revision of the registry that is known here. */
  get revision(): number {
    return this.#revision;
  }

  /** By name. */
  get nodes(): ReadonlyMap<string, ClusterNode> {
    return this.#nodes;
  }

  /** By destination in canonical form. */
  get routes(): ReadonlyMap<string, RouteRecord> {
    return this.#routes;
  }

  /** Takes in what a watcher is told. */
  apply(event: ClusterEvent): void {
    if (event.isSnapshot) this.clear();
    this.#revision = event.revision;
    for (const node of event.nodes) this.#nodes.set(node.name, node);
    for (const name of event.removedNodes) this.#nodes.delete(name);
    for (const route of event.routes) {
      this.#routes.set(formatPrefix(route.destination), route);
    }
    for (const cidr of event.removedRoutes) this.#routes.delete(cidr);
  }

  /** Forgets everything. */
  clear(): void {
    this.#revision = 0;
    this.#nodes.clear();
    this.#routes.clear();
  }
}
