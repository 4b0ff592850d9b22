import { sliceAt, slicesOverlapping } from "../../net/carve.ts";
import {
  comparePrefixes,
  formatPrefix,
  type Prefix,
} from "../../net/prefix.ts";
import type { ClusterState, Conflict, NetworkSlices } from "./cluster_state.ts";

/** A line of the list of subnets. */
export interface SubnetListing {
  /** The subnet; for a conflict wider than a subnet, the part of the network that it covers. */
  readonly subnet: Prefix;
  readonly state: "owned" | "reserved" | "released" | "conflicting";
  /** The owner, the node that it is reserved for, the one that released it, or the one that reported the conflict. */
  readonly node: string;
  /** The reason of the reservation or conflict; may be empty. */
  readonly reason: string;
  /** Since when it has this state; undefined for conflicts. */
  readonly sinceMs: number | undefined;
}

/** Lists the subnets that are not plainly free, in order of address. */
export function listSubnets(state: ClusterState): SubnetListing[] {
  return state.networks
    .flatMap((slices) => [
      ...listUsed(state, slices),
      ...listConflicts(state, slices),
    ])
    .sort((a, b) => comparePrefixes(a.subnet, b.subnet));
}

function listUsed(state: ClusterState, slices: NetworkSlices): SubnetListing[] {
  return [...slices.entries()].map(([index, record]) => {
    const subnet = sliceAt(slices.carve, index);
    const conflict = state.conflictWith(subnet);
    const reasons = [
      record.state === "reserved" ? record.reason : "",
      conflict ? formatConflict(conflict) : "",
    ];
    return {
      subnet,
      state: record.state,
      node: record.node,
      reason: reasons.filter((r) => r !== "").join("; "),
      sinceMs: record.sinceMs,
    };
  });
}

/**
 * One line for each conflict: the slice that contains a narrow prefix, or the
 * part of the network that a wide one covers, whatever the number of slices.
 */
function listConflicts(
  state: ClusterState,
  slices: NetworkSlices,
): SubnetListing[] {
  const { network } = slices.carve;
  const lines = new Map<string, SubnetListing>();
  for (const conflict of state.conflicts()) {
    const range = slicesOverlapping(slices.carve, conflict.prefix);
    if (!range) continue;
    const count = range.last - range.first + 1n;
    if (count === 1n && slices.get(range.first)) continue;
    const subnet = count === 1n
      ? sliceAt(slices.carve, range.first)
      : conflict.prefix.length < network.length
      ? network
      : conflict.prefix;
    lines.set(formatPrefix(subnet), {
      subnet,
      state: "conflicting",
      node: conflict.node,
      reason: count === 1n
        ? formatConflict(conflict)
        : `${formatConflict(conflict)}: ${count} subnets are not handed out`,
      sinceMs: undefined,
    });
  }
  return [...lines.values()];
}

function formatConflict(conflict: Conflict): string {
  return `overlaps ${
    formatPrefix(conflict.prefix)
  } on ${conflict.device} of node "${conflict.node}"`;
}
