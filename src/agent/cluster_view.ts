import type { RouteRecord } from "../cluster/state.ts";
import type { Address } from "../net/address.ts";
import type { Prefix } from "../net/prefix.ts";

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
}
