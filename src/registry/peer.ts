import type { Allocation } from "../addresses/plan/allocation.ts";
import { NetError } from "../base/error.ts";
import type { Carve } from "../net/carve.ts";
import type { Prefix } from "../net/prefix.ts";
import type { JoinRequest } from "./plan/join_plan.ts";
import type { SubnetOwner } from "./plan/restore_grace.ts";
import type { ClusterEvent } from "./feed.ts";

/** An agent as the registry knows it. */
export interface AgentIdentity {
  readonly node: string;
  /** Random id of its state. */
  readonly instanceId: string;
  /** Random id of its process. Empty or absent: an older program. */
  readonly processId?: string;
}

export interface JoinAnswer {
  readonly clusterId: string;
  readonly networks: readonly Carve[];
  /** One of each network, in their order. */
  readonly subnets: readonly Prefix[];
  /** Whether there are addresses to take over first. */
  readonly hasHandover: boolean;
  /** Whether the registry was restored, and asks for the owners that the node remembers. */
  readonly isInRestoreGrace: boolean;
}

/**
 * The registry as a joining node sees it. Every call throws a NetError:
 * `unavailable` or `deadline_exceeded` when the registry is out of reach,
 * otherwise the registry's own.
 */
export interface RegistryPeer {
  /** URL of the agent that hosts it. */
  readonly url: string;
  join(request: JoinRequest, signal: AbortSignal): Promise<JoinAnswer>;
  /** Reports the owners of subnets that this node remembers. */
  reportOwners(
    agent: AgentIdentity,
    owners: readonly SubnetOwner[],
    signal: AbortSignal,
  ): Promise<void>;
  /** Sends a heartbeat. @returns the time to the next one, in ms */
  heartbeat(agent: AgentIdentity, signal: AbortSignal): Promise<number>;
  /** Follows the cluster. It ends with an error, or with the signal. */
  watch(signal: AbortSignal): AsyncIterable<ClusterEvent>;
  /** The addresses to take over, in pages. */
  handover(
    agent: AgentIdentity,
    signal: AbortSignal,
  ): AsyncIterable<readonly Allocation[]>;
  finishHandover(agent: AgentIdentity, signal: AbortSignal): Promise<void>;
  /** Takes a node out of the cluster. */
  leave(agent: AgentIdentity, signal: AbortSignal): Promise<void>;
}

/** Time to find a registry that answers, in ms. */
const LEAVE_TIMEOUT_MS = 6_000;

/**
 * Tells the first registry that answers that a node leaves. Where the node is
 * not known, or another host has its name, it has left already.
 *
 * @param lastUrl the registry that was reached last: asked first
 * @throws {NetError} `unavailable` when none answers
 */
export async function announceLeave(
  peers: readonly RegistryPeer[],
  agent: AgentIdentity,
  lastUrl: string,
): Promise<boolean> {
  const inTurn = [...peers].sort((a, b) =>
    Number(b.url === lastUrl) - Number(a.url === lastUrl)
  );
  const timeoutMs = Math.max(1_000, LEAVE_TIMEOUT_MS / peers.length);
  let failure: unknown;
  for (const peer of inTurn) {
    try {
      await peer.leave(agent, AbortSignal.timeout(timeoutMs));
      return true;
    } catch (error) {
      const code = error instanceof NetError ? error.code : undefined;
      if (code === "not_found" || code === "already_exists") return false;
      failure ??= error;
    }
  }
  throw failure;
}

/** The agent that answers for the addresses of a node. */
export type NodePlace =
  | { readonly kind: "here" }
  | { readonly kind: "agent"; readonly url: string }
  | { readonly kind: "registry" };
