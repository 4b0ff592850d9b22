import type { Prefix } from "../net/prefix.ts";
import type { HostInterfaces } from "../routes/plan/uplink.ts";
import type { ClusterNode } from "../registry/view.ts";
import type { RouteReport } from "../routes/report.ts";

/** What a peer's agent says of itself. */
export interface PeerAnswer {
  /** Name of its node. */
  readonly node: string;
  /** Random id of its state. */
  readonly instanceId: string;
  readonly version: string;
  /** The time of its clock, in ms since 1970. */
  readonly nowMs: number;
}

/** What an agent knows that bears on the path to a peer. */
export interface PathFacts {
  /** Name of this node. */
  readonly node: string;
  /** Random id of this agent's state. */
  readonly instanceId: string;
  readonly version: string;
  /** The time in ms since 1970. */
  readonly now: () => number;
  /** The subnets of this node. */
  readonly subnets: readonly Prefix[];
  /** All nodes that are known; this one may be among them. */
  readonly nodes: readonly ClusterNode[];
  /** Undefined when they cannot be read. */
  readonly interfaces: HostInterfaces | undefined;
  /** How it stands with this host's routes. */
  readonly report: RouteReport;
  /** The mark by which the agent knows its own routes. */
  readonly protocol: number;
  /** Asks a peer's agent who it is, for a few seconds at most. A failure means that it does not answer. */
  readonly callPeer: (url: string) => Promise<PeerAnswer>;
}
