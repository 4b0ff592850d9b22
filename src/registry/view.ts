import { formatPrefix, type Prefix } from "../net/prefix.ts";
import type { Address } from "../net/address.ts";
import type { Trust } from "../security/trust.ts";
import type { RouteRecord } from "./plan/cluster_state.ts";

/** A node as the others see it. */
export interface ClusterNode {
  readonly name: string;
  readonly subnets: readonly Prefix[];
  /** Its addresses as a next hop, at most one of each family. */
  readonly advertised: readonly Address[];
  /** URL of its agent's API; empty when other hosts cannot reach it. */
  readonly apiUrl: string;
  readonly state: "ready" | "unreachable" | "no agent";
  readonly joinedAtMs: number;
  /** Time of its last heartbeat, in ms since 1970; undefined: none since the registry started. */
  readonly seenAtMs: number | undefined;
  /** A problem with its identity, such as a second process with its state. Absent: none. */
  readonly problem?: string;
}

/** An event of a watch: a snapshot, or what has changed. */
export interface ClusterEvent {
  /** Revision of the registry after it. */
  readonly revision: number;
  /** Whether there are no nodes and routes but these. */
  readonly isSnapshot: boolean;
  readonly nodes: readonly ClusterNode[];
  readonly routes: readonly RouteRecord[];
  readonly removedNodes: readonly string[];
  /** Destinations in canonical form. */
  readonly removedRoutes: readonly string[];
  /** What nodes verify each other with: in each snapshot, and when it has changed. Absent where there is nothing. */
  readonly trust?: Trust;
}

/** The nodes and extra routes that a watcher knows. */
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

  clear(): void {
    this.#revision = 0;
    this.#nodes.clear();
    this.#routes.clear();
  }
}
