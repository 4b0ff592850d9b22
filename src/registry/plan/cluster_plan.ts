import { type Planned, type Refusal, refuse } from "../../base/plan.ts";
import { type Address, formatAddress } from "../../net/address.ts";
import { type Carve, sliceAt, sliceCount } from "../../net/carve.ts";
import {
  containsPrefix,
  formatPrefix,
  nextHopBlock,
  overlaps,
  type Prefix,
  specialBlockOf,
} from "../../net/prefix.ts";
import { relevantPrefixes } from "./local_prefixes.ts";
import type {
  ClusterChange,
  ClusterConfig,
  ClusterState,
  LocalPrefix,
  NetworkSlices,
  NodeRecord,
  RouteRecord,
} from "./cluster_state.ts";

/** The facts that a node's agent reports of its host. */
export interface HostReport {
  readonly node: string;
  /** Random id of the node's state. */
  readonly instanceId: string;
  /** Its addresses as a next hop, at most one of each family. */
  readonly advertised: readonly Address[];
  /** URL of its agent's API; empty when other hosts cannot reach it. */
  readonly apiUrl: string;
  /** The prefixes that the host uses itself. */
  readonly localPrefixes: readonly LocalPrefix[];
}

/** The outcome of a plan for the cluster. */
export type ClusterPlan<T> = Planned<T, ClusterChange> | Refusal;

/**
 * Plans the cluster's creation. A cluster that exists keeps its networks, and
 * others are refused.
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

/** Formats networks with the length of their subnets, such as `172.16.0.0/12 (subnets /22)`. */
function formatNetworks(networks: readonly Carve[]): string {
  return networks
    .map((c) => `${formatPrefix(c.network)} (subnets /${c.subnetPrefixLength})`)
    .join(", ");
}

/**
 * Plans a node's claim: one subnet of each network, all or none.
 *
 * Order of choice: the node's own subnet, its earlier one if it is free, one
 * reserved for it, one never used, the one released longest ago, and last one
 * that is reserved only because a host reported its owner after a restore: such
 * reports cannot keep others from joining. Slices in conflict with a host are
 * never chosen.
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
    if (!owned) changes.push(putSubnet("owned", subnet, node.name, nowMs));
  }
  if (changes.length > 0) changes.push(putNode({ ...node, subnets }));
  return planned(subnets, changes);
}

/** Plans the release of a node's subnets. The caller checks that it holds no addresses. */
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
    ...record.subnets.map((s) => putSubnet("released", s, node, nowMs)),
    putNode({ ...record, subnets: [] }),
  ]);
}

/** Plans a reservation; it replaces an existing one. It keeps the node that had the subnet last. */
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
  const owner = state.ownerOf(subnet);
  if (owner !== undefined) {
    return refuse(
      "failed_precondition",
      `Cannot reserve "${
        formatPrefix(subnet)
      }": node "${owner}" owns it; release it first`,
    );
  }
  const known = place.slices.get(place.index);
  const lastNode = known?.state === "reserved" ? known.lastNode : known?.node;
  return planned(subnet, [{
    kind: "subnet",
    subnet,
    record: {
      ...{ state: "reserved", node, reason, sinceMs: nowMs },
      ...lastNode !== undefined && { lastNode },
    },
  }]);
}

/**
 * Plans the end of a reservation: the subnet is as the node left it that had it
 * last, or was never used. Ending one that is not there succeeds.
 */
export function planUnreserve(
  state: ClusterState,
  subnet: Prefix,
): ClusterPlan<undefined> {
  const place = state.locate(subnet);
  if (!place) return refuseNoSlice(state, subnet);
  const record = place.slices.get(place.index);
  if (record?.state !== "reserved") return planned(undefined, []);
  const { lastNode, sinceMs } = record;
  return planned(undefined, [
    lastNode === undefined
      ? { kind: "subnet", subnet, record: undefined }
      : putSubnet("released", subnet, lastNode, sinceMs),
  ]);
}

/**
 * Plans the report of the registry's own node. Of its prefixes it keeps those
 * that overlap a network, except those inside the node's own subnets.
 */
export function planReport(
  state: ClusterState,
  report: HostReport,
  nowMs: number,
): ClusterPlan<undefined> {
  const known = state.nodes.get(report.node);
  const { node, instanceId, advertised, apiUrl } = report;
  const record = known ?? createNode(node, nowMs);
  const localPrefixes = relevantPrefixes(
    state.carves,
    record.subnets,
    report.localPrefixes,
  );
  const reported = { instanceId, advertised, apiUrl, localPrefixes };
  return planned(undefined, putIfChanged(known, { ...record, ...reported }));
}

/** The change that writes a node's record; none when it is the same. */
export function putIfChanged(
  known: NodeRecord | undefined,
  record: NodeRecord,
): ClusterChange[] {
  return known && formatNode(known) === formatNode(record)
    ? []
    : [putNode(record)];
}

function putNode(record: NodeRecord): ClusterChange {
  return { kind: "node", name: record.name, record };
}

/** The change that makes a node the owner of a subnet, or the one that released it. */
export function putSubnet(
  state: "owned" | "released",
  subnet: Prefix,
  node: string,
  sinceMs: number,
): ClusterChange {
  return { kind: "subnet", subnet, record: { state, node, sinceMs } };
}

/** A plan with this answer and these changes. */
export function planned<T>(
  answer: T,
  changes: readonly ClusterChange[],
): Planned<T, ClusterChange> {
  return { kind: "planned", answer, changes };
}

/** A plan that is refused as another one, and changes nothing. */
export function checkOnly(plan: ClusterPlan<unknown>): ClusterPlan<undefined> {
  return plan.kind === "refused" ? plan : planned(undefined, []);
}

/** The record of a node of which only the name is known. */
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
  const { network } = slices.carve;
  // The node's own prefixes count before its record is written.
  const own = node.localPrefixes.filter(({ prefix }) =>
    !containsPrefix(prefix, network)
  );
  const findConflict = (slice: Prefix) =>
    state.conflictWith(slice) ??
      own.find((local) => overlaps(local.prefix, slice));
  let reserved: Prefix | undefined;
  let released: { subnet: Prefix; sinceMs: number } | undefined;
  let reported: Prefix | undefined;
  for (const [index, record] of slices.entries()) {
    if (record.state === "owned") continue;
    const subnet = sliceAt(slices.carve, index);
    if (findConflict(subnet)) continue;
    if (record.state === "reserved") {
      if (record.node === node.name) reserved ??= subnet;
      else if (record.reportedBy !== undefined) reported ??= subnet;
    } else if (record.node === node.name) return subnet;
    else if (!released || record.sinceMs < released.sinceMs) {
      released = { subnet, sinceMs: record.sinceMs };
    }
  }
  return reserved ?? state.nextFree(slices, findConflict) ??
    released?.subnet ?? reported;
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
    `"${formatPrefix(subnet)}" is not a subnet of ${
      formatNetworks(state.networks.map((n) => n.carve))
    }`,
  );
}

/** Everything in a node's record that may change, as text. */
function formatNode(node: NodeRecord): string {
  return JSON.stringify([
    node.instanceId,
    node.apiUrl,
    node.advertised.map(formatAddress),
    node.subnets.map(formatPrefix),
    node.localPrefixes.map((p) => [formatPrefix(p.prefix), p.device]),
  ]);
}

/** Plans an extra route. The same route again succeeds and stays as it is. */
export function planAddRoute(
  state: ClusterState,
  route: { readonly destination: Prefix; readonly target: Address },
  nowMs: number,
): ClusterPlan<RouteRecord> {
  const { destination, target } = route;
  const text = formatPrefix(destination);
  if (destination.family !== target.family) {
    return refuse(
      "invalid_argument",
      `Cannot add the route "${text}": its target "${
        formatAddress(target)
      }" is not an IPv${destination.family} address`,
    );
  }
  const special = specialBlockOf(destination) ?? nextHopBlock(target);
  if (special) {
    return refuse(
      "invalid_argument",
      `Cannot add the route "${text}" with the target "${
        formatAddress(target)
      }": ${formatPrefix(special.prefix)} (${special.name}) cannot be routed`,
    );
  }
  const existing = state.routes.get(text);
  if (!existing) {
    const record = { destination, target, addedAtMs: nowMs };
    return planned(record, [{ kind: "route", destination, record }]);
  }
  return formatAddress(existing.target) === formatAddress(target)
    ? planned(existing, [])
    : refuse(
      "already_exists",
      `route exists in configuration: "${text}" has the target "${
        formatAddress(existing.target)
      }"; delete it first`,
    );
}

/** Plans the removal of an extra route. @returns whether there is one */
export function planDeleteRoute(
  state: ClusterState,
  route: { readonly destination: Prefix; readonly target: Address | undefined },
): ClusterPlan<boolean> {
  const { destination, target } = route;
  const existing = state.routes.get(formatPrefix(destination));
  if (!existing) return planned(false, []);
  const has = formatAddress(existing.target);
  return target && formatAddress(target) !== has
    ? refuse(
      "failed_precondition",
      `Cannot delete the route "${formatPrefix(destination)}" by "${
        formatAddress(target)
      }": its target is "${has}"`,
    )
    : planned(true, [{ kind: "route", destination, record: undefined }]);
}
