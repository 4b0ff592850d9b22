import type { Allocators } from "../addresses/allocators.ts";
import type { Prefix } from "../net/prefix.ts";
import type { NodePlace } from "../registry/peer.ts";
import type { HostReport } from "../registry/plan/subnet_plan.ts";
import type { ClusterConfig } from "../registry/plan/cluster_state.ts";
import type { ClusterView } from "../registry/view.ts";

/** What a host says of itself to the registry. */
export type HostFacts = Pick<
  HostReport,
  "advertised" | "apiUrl" | "localPrefixes"
>;

/** How it stands between an agent and the registry. */
export interface RegistryLink {
  /** `fenced`: the registry refuses this node. */
  readonly state: "hosted" | "joined" | "unreachable" | "fenced" | "left";
  readonly sinceMs: number;
  /** Why it is out of reach, or refuses this node; empty when all is well. */
  readonly problem: string;
  /** The agent that hosts it and was reached last; empty: none, or this one. */
  readonly url: string;
  /** All that it may be reached through; empty: it is hosted here. */
  readonly urls: readonly string[];
}

/**
 * What a node's agent has to do with the registry: it hosts it
 * ({@linkcode HostedMember}) or has joined it ({@linkcode JoinedMember}).
 */
export interface Member {
  /** Undefined until it is known. */
  readonly cluster: ClusterConfig | undefined;
  /** Nodes and extra routes as this agent follows them. */
  readonly view: ClusterView;
  readonly link: RegistryLink;
  /** The subnets that this node hands out addresses of; empty before it has any. */
  readonly subnets: readonly Prefix[];
  /** Who hands out the addresses that are in this agent's store. */
  readonly allocators: Allocators;

  /**
   * Whether it is known what this node's containers hold. Before a node has
   * joined for the first time the registry may hold addresses for it.
   */
  readonly isKnown: boolean;
  /**
   * Returns when this node may hand out addresses, if it has subnets.
   *
   * @throws {NetError} `failed_precondition` when it is fenced or has left
   */
  checkPresent(): void;
  /**
   * Gives this node its subnets, or those that it has.
   *
   * @throws {NetError} `exhausted` when none is left, `unavailable` before it
   * has joined, `failed_precondition` when it is fenced or has left
   */
  claim(): Promise<readonly Prefix[]>;
  /** Returns when {@linkcode claim} would succeed, and throws what it would throw. */
  checkClaim(): Promise<void>;
  /** Nodes and extra routes as they are now, as far as can be known. */
  current(): Promise<ClusterView>;
  /** Which agent answers for the addresses of a node. */
  placeOf(node: string): Promise<NodePlace>;
  /** Says what is true of this host now. */
  report(facts: HostFacts): Promise<void>;
  /** Calls the registry over new connections from now on; where there are any. */
  reconnect?(): void;
  /** Begins to follow the cluster. `onChange` hears of every change of view, subnets and link. */
  start(onChange: () => void): void;
  /** Stops following. What is known stays. */
  stop(): Promise<void>;
  /**
   * Takes this node out of the cluster, whatever it holds.
   *
   * @param force also when the registry is out of reach
   * @returns the subnets that it had
   */
  leave(options: { readonly force: boolean }): Promise<readonly Prefix[]>;
}
