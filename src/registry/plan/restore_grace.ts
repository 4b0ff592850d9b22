import { formatUtcMs } from "../../base/duration.ts";
import { type Refusal, refuse } from "../../base/plan.ts";
import { formatPrefix, type Prefix } from "../../net/prefix.ts";
import type { ClusterState } from "./cluster_state.ts";
import { type ClusterPlan, planned } from "./cluster_plan.ts";

/**
 * The rest of the grace period after the registry was restored from a
 * backup. The backup may take subnets for free that hosts use which joined
 * later: those hosts come back first.
 */
export interface RestoreGraceTime {
  /** When the backup was made, RFC 3339. */
  readonly takenAt: string;
  readonly leftMs: number;
  /** When the period began, in ms since 1970. */
  readonly sinceMs: number;
}

/** Says that the registry is in its grace period, since when, and until when. */
export function describeRestoreGrace(
  { takenAt, leftMs, sinceMs }: RestoreGraceTime,
): string {
  return `the registry was restored from a backup of ${takenAt}, and has been in its grace period since ${
    formatUtcMs(sinceMs)
  }: hosts that it does not know come back with their subnets first; a new node gets one in ${
    Math.ceil(leftMs / 1000)
  } s`;
}

/** The owner of a subnet, as some host remembers it. */
export interface SubnetOwner {
  readonly node: string;
  readonly subnet: Prefix;
}

/**
 * Plans to reserve the subnets that the restored registry takes for free for
 * the nodes that had them. Subnets that another node owns now, or that are
 * reserved, stay as they are.
 */
export function planReserveForOwners(
  state: ClusterState,
  owners: readonly SubnetOwner[],
  report: { readonly by: string; readonly nowMs: number },
): ClusterPlan<undefined> {
  const { by, nowMs } = report;
  const free = owners.filter(({ subnet }) => {
    const place = state.locate(subnet);
    if (!place) return false;
    const record = place.slices.get(place.index);
    return !record || record.state === "released";
  });
  return planned(
    undefined,
    free.map(({ node, subnet }) => ({
      kind: "subnet",
      subnet,
      record: {
        state: "reserved",
        node,
        reason: `${node} had it before the registry was restored, says ${by}`,
        reportedBy: by,
        sinceMs: nowMs,
      },
    })),
  );
}

/** The subnets that a node would get. */
export interface SubnetClaim {
  readonly node: string;
  /** The subnets that it says it holds. */
  readonly held: readonly Prefix[];
  /** The subnets that it would get. */
  readonly subnets: readonly Prefix[];
}

/** Whether a node would get a subnet that it has not had before. */
export function hasNewSubnets(
  state: ClusterState,
  { node, held, subnets }: SubnetClaim,
): boolean {
  const known = state.nodes.get(node)?.subnets ?? [];
  const had = new Set([...held, ...known].map(formatPrefix));
  return !subnets.every((subnet) => had.has(formatPrefix(subnet)));
}

/** Refuses a plan that gives a node a subnet that it has not had before, during the grace period. */
export function refuseNewSubnets(
  state: ClusterState,
  claim: SubnetClaim,
  grace: RestoreGraceTime,
): Refusal | undefined {
  if (!hasNewSubnets(state, claim)) return undefined;
  return refuse(
    "unavailable",
    `Cannot give node "${claim.node}" a subnet yet: ${
      describeRestoreGrace(grace)
    }`,
    "RESTORE_GRACE",
  );
}
