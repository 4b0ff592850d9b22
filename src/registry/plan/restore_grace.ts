import { formatPrefix, type Prefix } from "../../net/prefix.ts";
import { type Refusal, refuse } from "../../base/plan.ts";
import { type ClusterPlan, planned } from "./subnet_plan.ts";
import type { ClusterState } from "./cluster_state.ts";

/**
 * The time after the registry was restored from a backup. Hosts that it does
 * not know may run with subnets that it takes for free: they come back first.
 */
export interface Settling {
  /** When the backup was made, RFC 3339. */
  readonly takenAt: string;
  /** How long it still takes, in ms. */
  readonly leftMs: number;
}

/** Who had a subnet, as some host remembers it. */
export interface SubnetOwner {
  readonly node: string;
  readonly subnet: Prefix;
}

/**
 * Plans to keep the subnets that are taken for free for the nodes that had
 * them before the registry was restored. What belongs to another node now, or
 * is reserved, stays.
 */
export function planOwners(
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
        sinceMs: nowMs,
      },
    })),
  );
}

/**
 * Refuses a plan that gives a node a subnet which it has not had before, while
 * the registry is settling.
 */
export function refuseNewSubnets(
  state: ClusterState,
  claim: {
    readonly node: string;
    /** What it says that it has. */
    readonly held: readonly Prefix[];
    /** What it would get. */
    readonly subnets: readonly Prefix[];
  },
  { takenAt, leftMs }: Settling,
): Refusal | undefined {
  const { node, held, subnets } = claim;
  const known = state.nodes.get(node)?.subnets ?? [];
  const had = new Set([...held, ...known].map(formatPrefix));
  if (subnets.every((subnet) => had.has(formatPrefix(subnet)))) {
    return undefined;
  }
  return refuse(
    "unavailable",
    `Cannot give node "${node}" a subnet yet: the registry was restored from a backup of ${takenAt}, ` +
      `and hosts that it does not know come back with theirs first; try again in ${
        Math.ceil(leftMs / 1000)
      } s`,
  );
}
