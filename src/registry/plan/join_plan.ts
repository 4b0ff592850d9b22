import { formatPrefix, type Prefix } from "../../net/prefix.ts";
import { type Refusal, refuse } from "../../base/plan.ts";
import {
  type ClusterPlan,
  createNode,
  type HostReport,
  planClaimOf,
  planned,
  putIfChanged,
  putSubnet,
} from "./cluster_plan.ts";
import { relevantPrefixes } from "./local_prefixes.ts";
import type {
  ClusterState,
  NetworkSlices,
  NodeRecord,
} from "./cluster_state.ts";

/** The request of a node that joins. */
export interface JoinRequest extends HostReport {
  /** The subnets of which it hands out addresses already; empty for none. */
  readonly heldSubnets: readonly Prefix[];
  /** Id of the cluster that it joined before; empty for none. */
  readonly clusterId: string;
  /** Random id of its process. Empty or absent: an older program. */
  readonly processId?: string;
  /** The marker of the registry's last answer to that process; 0 or absent: none. */
  readonly marker?: number;
  /** The registry's last revision that it knows; 0 or absent: none. */
  readonly revision?: number;
}

/** The removal of a node. */
export interface RemovalRequest {
  readonly node: string;
  /** Id of the node's state when it leaves itself; empty: an operator or the registry removes it. */
  readonly instanceId: string;
  /** Whether its heartbeats arrive. */
  readonly isAlive: boolean;
  /** Whether to remove it also when it is alive. */
  readonly force: boolean;
}

/**
 * Plans a node's join: its record, and one subnet of each network.
 *
 * The node keeps the subnets that it holds, if the record shows each as its
 * last one, or during the grace period after a restore, as long as the record
 * shows no other node. Otherwise the node is fenced: its join is refused.
 */
export function planJoin(
  state: ClusterState,
  request: JoinRequest,
  { nowMs, isInRestoreGrace = false }: {
    readonly nowMs: number;
    readonly isInRestoreGrace?: boolean;
  },
): ClusterPlan<readonly Prefix[]> {
  const { node, instanceId, advertised, apiUrl, heldSubnets } = request;
  const known = state.nodes.get(node);
  const refusal = refuseOtherCluster(state, request) ??
    refuseOtherHost(known, request) ??
    refuseFenced(state, request, isInRestoreGrace);
  if (refusal) return refusal;
  const subnets = heldSubnets.length > 0 ? heldSubnets : known?.subnets ?? [];
  const record: NodeRecord = {
    ...known ?? createNode(node, nowMs),
    instanceId,
    advertised,
    apiUrl,
    subnets,
    localPrefixes: relevantPrefixes(
      state.carves,
      subnets,
      request.localPrefixes,
    ),
  };
  const claim = planClaimOf(state, record, nowMs);
  if (claim.kind === "refused") return claim;
  const kept = subnets.filter((s) => state.ownerOf(s) !== node);
  const has = new Set(claim.answer.map(formatPrefix));
  const lost = (known?.subnets ?? []).filter((s) => !has.has(formatPrefix(s)));
  return planned(claim.answer, [
    ...lost.map((s) => putSubnet("released", s, node, nowMs)),
    ...kept.map((s) => putSubnet("owned", s, node, nowMs)),
    ...claim.changes,
    ...putIfChanged(known, { ...record, subnets: claim.answer }),
  ]);
}

/** Plans to forget a node and free its subnets. */
export function planRemoval(
  state: ClusterState,
  request: RemovalRequest,
  nowMs: number,
): ClusterPlan<readonly Prefix[]> {
  const { node, instanceId, isAlive, force } = request;
  const known = state.nodes.get(node);
  if (!known) {
    return refuse("not_found", `Cannot remove node "${node}": it is not known`);
  }
  if (instanceId !== "" && instanceId !== known.instanceId) {
    return refuse(
      "already_exists",
      `Cannot remove node "${node}": another host has that name now`,
    );
  }
  if (instanceId === "" && isAlive && !force) {
    return refuse(
      "failed_precondition",
      `Cannot remove node "${node}": it is alive; run "stellar-net node leave" there, or force the removal`,
    );
  }
  return planned(known.subnets, [
    ...known.subnets.map((s) => putSubnet("released", s, node, nowMs)),
    { kind: "node", name: node, record: undefined },
  ]);
}

/**
 * Refuses a node of another cluster. This registry has no say about the subnets
 * that the node holds there, whose registry may be lost: the node is not fenced,
 * which is why the error is `unavailable`.
 */
function refuseOtherCluster(
  { config }: ClusterState,
  { clusterId }: JoinRequest,
): Refusal | undefined {
  return clusterId === "" || clusterId === config?.clusterId
    ? undefined
    : refuse(
      "unavailable",
      `Cannot join the cluster ${config?.clusterId}: the node belongs to cluster ${clusterId}`,
      "OTHER_CLUSTER",
    );
}

/** Refuses a join with the name of another host. */
export function refuseOtherHost(
  known: NodeRecord | undefined,
  { node, instanceId }: Pick<JoinRequest, "node" | "instanceId">,
): Refusal | undefined {
  return !known || known.instanceId === "" || known.instanceId === instanceId
    ? undefined
    : refuse(
      "already_exists",
      `Cannot join as "${node}": another host with that name is known; ` +
        `give this one another --node, or if that host is gone, take over with "stellar-net node remove ${node}"`,
    );
}

function refuseFenced(
  state: ClusterState,
  { node, heldSubnets }: JoinRequest,
  isInRestoreGrace: boolean,
): Refusal | undefined {
  const networks = new Set<NetworkSlices>();
  for (const subnet of heldSubnets) {
    const place = state.locate(subnet);
    const obstacle = place && networks.has(place.slices)
      ? `it is the second one of ${formatPrefix(place.slices.carve.network)}`
      : obstacleTo(state, subnet, { node, isInRestoreGrace });
    if (obstacle !== undefined) {
      return refuse(
        "failed_precondition",
        `Cannot join with the subnet ${
          formatPrefix(subnet)
        }: ${obstacle}; node "${node}" is fenced: ` +
          `stop its containers, run "stellar-net node leave" there and start its agent again`,
      );
    }
    if (place) networks.add(place.slices);
  }
  return undefined;
}

/** The reason why a node cannot keep a subnet; undefined when it can. */
function obstacleTo(
  state: ClusterState,
  subnet: Prefix,
  { node, isInRestoreGrace }: {
    readonly node: string;
    readonly isInRestoreGrace: boolean;
  },
): string | undefined {
  const place = state.locate(subnet);
  if (!place) return "it is not a subnet of this cluster";
  const record = place.slices.get(place.index);
  const isLast = record?.node === node;
  // A subnet that came into conflict later stays with its owner.
  if (isLast && record?.state === "owned") return undefined;
  if (record?.state === "owned") {
    return `it belongs to node "${record.node}" now`;
  }
  const conflict = state.conflictWith(subnet);
  if (conflict) {
    return `it overlaps ${
      formatPrefix(conflict.prefix)
    } on ${conflict.device} of node "${conflict.node}"`;
  }
  if (isLast) return undefined;
  if (record?.state === "reserved" && record.reportedBy === undefined) {
    return "it is reserved now";
  }
  if (isInRestoreGrace) return undefined;
  return record
    ? `node "${record.node}" had it last`
    : `the registry does not know that node "${node}" ever had it`;
}
