import { type Address, formatAddress } from "../../net/address.ts";
import { type Carve, sliceAt, sliceCount } from "../../net/carve.ts";
import {
  containsPrefix,
  formatPrefix,
  overlaps,
  type Prefix,
} from "../../net/prefix.ts";
import { type Planned, type Refusal, refuse } from "../../base/plan.ts";
import type {
  ClusterChange,
  ClusterConfig,
  ClusterState,
  LocalPrefix,
  NetworkSlices,
  NodeRecord,
} from "./cluster_state.ts";

/** What the agent of a node tells about its host. */
export interface HostReport {
  readonly node: string;
  /** Random id of the node's state. */
  readonly instanceId: string;
  /** Its addresses that other hosts route through, at most one of each family. */
  readonly advertised: readonly Address[];
  /** URL of its agent's API; empty when it is not reached from other hosts. */
  readonly apiUrl: string;
  /** The prefixes that the host uses itself. */
  readonly localPrefixes: readonly LocalPrefix[];
}

/** The outcome of a plan for the cluster. */
export type ClusterPlan<T> = Planned<T, ClusterChange> | Refusal;

/**
 * Plans the cluster's creation. Where it exists already it keeps its networks,
 * and others are refused.
 */
export function planCreate(
  state: ClusterState,
  wanted: ClusterConfig,
): ClusterPlan<ClusterConfig> {
  const { config } = state;
  if (!config) {
    return planned(wanted, [{ kind: "config", config: wanted }]);
  }
  const has = formatNetworks(config.networks);
  const wants = formatNetworks(wanted.networks);
  return has === wants ? planned(config, []) : refuse(
    "failed_precondition",
    `Cannot use the networks ${wants}: the cluster in this state was created ` +
      `with ${has}; start with those, without --network, or with another --state`,
  );
}

/** Names networks with the length of their subnets, such as `172.16.0.0/12 (subnets /22)`. */
export function formatNetworks(networks: readonly Carve[]): string {
  return networks
    .map((c) => `${formatPrefix(c.network)} (subnets /${c.subnetPrefixLength})`)
    .join(", ");
}

/**
 * Plans a node's claim: one subnet of each network, all or none.
 *
 * Order of choice: what it owns, what it owned before and nobody took, what is
 * reserved for it, what was never used, what was released the longest ago.
 * Slices in conflict with a host are never chosen.
 */
export function planClaim(
  state: ClusterState,
  node: string,
  nowMs: number,
): ClusterPlan<readonly Prefix[]> {
  return planClaimOf(
    state,
    state.nodes.get(node) ?? createNode(node, nowMs),
    nowMs,
  );
}

/** Plans the claim of a node whose record is about to become this. */
export function planClaimOf(
  state: ClusterState,
  node: NodeRecord,
  nowMs: number,
): ClusterPlan<readonly Prefix[]> {
  const subnets: Prefix[] = [];
  const changes: ClusterChange[] = [];
  for (const slices of state.networks) {
    const owned = node.subnets.find((s) =>
      containsPrefix(slices.carve.network, s)
    );
    const subnet = owned ?? chooseSlice(state, slices, node);
    if (!subnet) return refuseNoSubnets(state, slices);
    subnets.push(subnet);
    if (!owned) {
      changes.push({
        kind: "subnet",
        subnet,
        record: { state: "owned", node: node.name, sinceMs: nowMs },
      });
    }
  }
  if (changes.length > 0) changes.push(putNode({ ...node, subnets }));
  return planned(subnets, changes);
}

/** Plans the release of a node's subnets. Whether addresses are held is the caller's to check. */
export function planRelease(
  state: ClusterState,
  node: string,
  nowMs: number,
): ClusterPlan<readonly Prefix[]> {
  const record = state.nodes.get(node);
  if (!record || record.subnets.length === 0) {
    return refuse("not_found", `subnet not found: node "${node}" has none`);
  }
  return planned(record.subnets, [
    ...record.subnets.map((subnet): ClusterChange => ({
      kind: "subnet",
      subnet,
      record: { state: "released", node, sinceMs: nowMs },
    })),
    putNode({ ...record, subnets: [] }),
  ]);
}

/** Plans a reservation; one that exists is replaced. */
export function planReserve(
  state: ClusterState,
  wanted: {
    readonly subnet: Prefix;
    readonly node: string;
    readonly reason: string;
  },
  nowMs: number,
): ClusterPlan<Prefix> {
  const { subnet, node, reason } = wanted;
  const place = state.locate(subnet);
  if (!place) return refuseNoSlice(state, subnet);
  const record = place.slices.get(place.index);
  if (record?.state === "owned") {
    return refuse(
      "failed_precondition",
      `Cannot reserve "${
        formatPrefix(subnet)
      }": node "${record.node}" owns it; release it first`,
    );
  }
  return planned(subnet, [{
    kind: "subnet",
    subnet,
    record: { state: "reserved", node, reason, sinceMs: nowMs },
  }]);
}

/** Plans the end of a reservation. Ending what is not there succeeds. */
export function planUnreserve(
  state: ClusterState,
  subnet: Prefix,
): ClusterPlan<undefined> {
  const place = state.locate(subnet);
  if (!place) return refuseNoSlice(state, subnet);
  const isReserved = place.slices.get(place.index)?.state === "reserved";
  return planned(
    undefined,
    isReserved ? [{ kind: "subnet", subnet, record: undefined }] : [],
  );
}

/**
 * Plans what the node of the registry's own agent reports of its host. Of its
 * prefixes those that overlap a network are kept, except what lies in the
 * node's own subnets.
 */
export function planReport(
  state: ClusterState,
  report: HostReport,
  nowMs: number,
): ClusterPlan<undefined> {
  const known = state.nodes.get(report.node);
  const { node, instanceId, advertised, apiUrl } = report;
  const record = known ?? createNode(node, nowMs);
  const localPrefixes = relevantPrefixes(state, record, report.localPrefixes);
  const reported = { instanceId, advertised, apiUrl, localPrefixes };
  return planned(undefined, putIfChanged(known, { ...record, ...reported }));
}

/** The change that puts a node's record, none where it says what is known already. */
export function putIfChanged(
  known: NodeRecord | undefined,
  record: NodeRecord,
): ClusterChange[] {
  return known && formatNode(known) === formatNode(record)
    ? []
    : [putNode(record)];
}

/** Of what a host uses itself, what overlaps a network and is not the node's own subnet. */
export function relevantPrefixes(
  state: ClusterState,
  node: Pick<NodeRecord, "subnets">,
  prefixes: readonly LocalPrefix[],
): LocalPrefix[] {
  return prefixes.filter(({ prefix }) =>
    state.networks.some((n) => overlaps(n.carve.network, prefix)) &&
    !node.subnets.some((subnet) => containsPrefix(subnet, prefix))
  );
}

/** The change that puts a node's record. */
export function putNode(record: NodeRecord): ClusterChange {
  return { kind: "node", name: record.name, record };
}

/** The plan that answers and changes so much. */
export function planned<T>(
  answer: T,
  changes: readonly ClusterChange[],
): Planned<T, ClusterChange> {
  return { kind: "planned", answer, changes };
}

/** The record of a node of which nothing but its name is known. */
export function createNode(name: string, nowMs: number): NodeRecord {
  return {
    name,
    instanceId: "",
    advertised: [],
    apiUrl: "",
    subnets: [],
    localPrefixes: [],
    joinedAtMs: nowMs,
  };
}

function chooseSlice(
  state: ClusterState,
  slices: NetworkSlices,
  node: NodeRecord,
): Prefix | undefined {
  // Its own prefixes count, although nobody knows of them yet.
  const findConflict = (slice: Prefix) =>
    state.conflictWith(slice) ??
      node.localPrefixes.find((local) => overlaps(local.prefix, slice));
  let reserved: Prefix | undefined;
  let released: { subnet: Prefix; sinceMs: number } | undefined;
  for (const [index, record] of slices.entries()) {
    if (record.state === "owned") continue;
    const subnet = sliceAt(slices.carve, index);
    if (findConflict(subnet)) continue;
    if (record.state === "reserved") {
      if (record.node === node.name) reserved ??= subnet;
    } else if (record.node === node.name) return subnet;
    else if (!released || record.sinceMs < released.sinceMs) {
      released = { subnet, sinceMs: record.sinceMs };
    }
  }
  return reserved ?? state.nextFree(slices, findConflict) ?? released?.subnet;
}

function refuseNoSubnets(state: ClusterState, slices: NetworkSlices): Refusal {
  const conflicts = [...state.conflicts()]
    .filter((c) => overlaps(slices.carve.network, c.prefix))
    .map((c) => `${formatPrefix(c.prefix)} on "${c.node}"`);
  return refuse(
    "exhausted",
    `no available subnets in network configuration: the ${
      sliceCount(slices.carve)
    } subnets of ${formatPrefix(slices.carve.network)} are owned, reserved${
      conflicts.length ? ` or in conflict with ${conflicts.join(", ")}` : ""
    }`,
  );
}

function refuseNoSlice(state: ClusterState, subnet: Prefix): Refusal {
  return refuse(
    "invalid_argument",
    `"${formatPrefix(subnet)}" is no subnet of ${
      formatNetworks(state.networks.map((n) => n.carve))
    }`,
  );
}

/** All that may change of a node's record. */
function formatNode(node: NodeRecord): string {
  return JSON.stringify([
    node.instanceId,
    node.apiUrl,
    node.advertised.map(formatAddress),
    node.subnets.map(formatPrefix),
    node.localPrefixes.map((p) => [formatPrefix(p.prefix), p.device]),
  ]);
}
