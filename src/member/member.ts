import { findMembershipFault, type RegistryLink } from "./link.ts";
import type { ContactWait } from "./first_contact.ts";
import type { Allocators } from "../addresses/allocators.ts";
import type { AgentMetrics } from "../base/agent_metrics.ts";
import { NetError } from "../base/error.ts";
import type { Prefix } from "../net/prefix.ts";
import type { AgentIdentity, NodePlace } from "../registry/peer.ts";
import type { ClusterConfig } from "../registry/plan/cluster_state.ts";
import type { HostReport } from "../registry/plan/cluster_plan.ts";
import type { ClusterView } from "../registry/feed.ts";
import type { Trust } from "../security/trust.ts";

/** The facts that a host reports to the registry. */
export type HostFacts = Pick<
  HostReport,
  "advertised" | "apiUrl" | "localPrefixes"
>;

/** Options that every {@linkcode Member} has. */
export interface MemberOptions extends AgentIdentity {
  /** The time in ms since 1970. */
  readonly now: () => number;
  /** Default: counts nothing. */
  readonly metrics?: AgentMetrics;
  /** Called with what nodes verify each other with, at first and after each change. */
  readonly onTrust?: (trust: Trust) => void;
  /** Called when this node has left a registry that it had joined. */
  readonly onLeft?: () => void;
}

/**
 * The way in which an agent belongs to a cluster: it hosts the registry
 * ({@linkcode HostedMember}) or has joined it ({@linkcode JoinedMember}).
 */
export interface Member {
  /** Undefined until it is known. */
  readonly cluster: ClusterConfig | undefined;
  /** Whether the state was made on another machine, and no registry has accepted this one. */
  readonly isCopy: boolean;
  /** Nodes and extra routes as this agent follows them. */
  readonly view: ClusterView;
  readonly link: RegistryLink;
  /** Until when the view is known to be right, in ms since 1970; undefined: not since the agent started. */
  readonly heardAtMs: number | undefined;
  /** The subnets of which this node hands out addresses; empty before it has any. */
  readonly subnets: readonly Prefix[];
  /** The allocators of the nodes whose addresses are in this agent's store. */
  readonly allocators: Allocators;
  /**
   * Whether all addresses that this node's containers hold are known. Before
   * the first join the registry may hold addresses for the node.
   */
  readonly isKnown: boolean;
  /**
   * Returns if this node may hand out addresses, provided that it has subnets.
   *
   * @throws {NetError} `failed_precondition` when it is fenced or has left
   */
  checkPresent(): void;
  /** Waits for the first contact with the registry: see {@linkcode FirstContact}. */
  contacted(wait: ContactWait): Promise<void>;
  /**
   * Gives this node its subnets, or those that it has.
   *
   * @throws {NetError} `exhausted` when none is left, `unavailable` before it
   * has joined, `failed_precondition` when it is fenced or has left
   */
  claim(): Promise<readonly Prefix[]>;
  /** Returns when {@linkcode claim} would succeed, and throws what it would throw. */
  checkClaim(): Promise<void>;
  /** Nodes and extra routes as they are now, as far as this agent can know. */
  current(): Promise<ClusterView>;
  /** The agent that answers for the addresses of a node. */
  placeOf(node: string): Promise<NodePlace>;
  /** Reports this host to the registry. */
  report(facts: HostFacts): Promise<void>;
  /** Sends the next heartbeat at once, if it sends any: its report has changed. */
  beatSoon?(): void;
  /** Moves to new connections to the registry, if there are any. */
  reconnect?(): void;
  /** Begins to follow the cluster. Calls `onChange` when the view, the subnets or the link change. */
  start(onChange: () => void): void;
  /** Stops following, and keeps what is known. */
  stop(): Promise<void>;
  /**
   * Takes this node out of the cluster, whatever it holds.
   *
   * @param options `force`: also when the registry is out of reach
   * @returns the subnets that are free now
   */
  leave(options: { readonly force: boolean }): Promise<readonly Prefix[]>;
}

/**
 * The error of a node that cannot hand out addresses, with its cause and the way
 * out. Its code is `unavailable` before the node has joined.
 */
export function cannotHandOut(
  node: string,
  link: RegistryLink,
  hasSubnets: boolean,
): NetError {
  const { code, text, advice } = findMembershipFault(link, hasSubnets)!;
  const isWaiting = code === "migrating" || code === "restore-grace";
  return new NetError(
    isWaiting || code === "registry-unreachable"
      ? "unavailable"
      : "failed_precondition",
    `Cannot hand out addresses on node "${node}": ${text}; ${advice}`,
    isWaiting ? { reason: link.reason } : {},
  );
}
