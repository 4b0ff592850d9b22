import { type Timestamp, timestampDate } from "@bufbuild/protobuf/wkt";
import {
  type Allocation,
  type GetStatusResponse,
  type HistoryRecord,
  type Node,
  NodeState,
  type Route,
  type Subnet,
  SubnetState,
  type SubnetUsage,
} from "./client.ts";

// What `--json` prints. Fields are only ever added. Null means: there is none.

/** Who holds an allocation. */
export interface OwnerView {
  readonly network: string;
  readonly containerId: string;
  readonly interfaceName: string;
}

/** What one owner holds. */
export interface AllocationView {
  readonly node: string;
  readonly owner: OwnerView;
  readonly addresses: readonly {
    readonly address: string;
    readonly subnet: string;
    readonly gateway: string;
  }[];
  readonly allocatedAt: string | null;
  readonly requested: boolean;
  readonly attachment:
    | { readonly netns: string | null; readonly bootId: string | null }
    | null;
  /** Why it seems to be leaked. */
  readonly leak: string | null;
}

/** Who held an address, from when to when. */
export interface HistoryView {
  readonly node: string;
  readonly address: string;
  readonly owner: OwnerView;
  readonly allocatedAt: string | null;
  readonly releasedAt: string | null;
  readonly reason: string | null;
}

/** A part of a network. */
export interface SubnetView {
  readonly cidr: string;
  readonly state: string;
  readonly node: string | null;
  readonly gateway: string;
  readonly since: string | null;
  readonly reason: string | null;
}

/** A host of the cluster. */
export interface NodeView {
  readonly name: string;
  readonly state: string;
  readonly subnets: readonly string[];
  readonly advertised: readonly string[];
  readonly apiUrl: string | null;
  readonly joinedAt: string | null;
  readonly seenAt: string | null;
}

/** An extra route. */
export interface RouteView {
  readonly cidr: string;
  readonly target: string;
  readonly addedAt: string | null;
}

/** How full a subnet is. Counts that may not fit a double are decimal texts. */
export interface UsageView {
  readonly cidr: string;
  readonly gateway: string;
  readonly capacity: string;
  readonly held: number;
  readonly cooling: number;
  readonly free: string;
}

/** How an agent is doing. */
export interface StatusView {
  readonly node: string;
  readonly instanceId: string;
  readonly version: string;
  readonly startedAt: string | null;
  readonly clusterId: string;
  readonly store: string;
  readonly listeners: readonly string[];
  readonly networks: readonly {
    readonly cidr: string;
    readonly subnetPrefixLength: number;
  }[];
  readonly subnets: readonly UsageView[];
  readonly nodes: number;
  readonly routes: number;
  readonly queued: number;
  readonly leaked: number;
  readonly warnings: readonly string[];
}

export function viewAllocation(message: Allocation): AllocationView {
  const { node, addresses, requested, attachment } = message;
  return {
    node,
    owner: viewOwner(message.owner),
    addresses: addresses.map(({ address, subnet, gateway }) => ({
      address,
      subnet,
      gateway,
    })),
    allocatedAt: viewTime(message.allocatedAt),
    requested,
    attachment: attachment
      ? {
        netns: orNull(attachment.netns),
        bootId: orNull(attachment.bootId),
      }
      : null,
    leak: orNull(message.leak),
  };
}

export function viewHistory(message: HistoryRecord): HistoryView {
  return {
    node: message.node,
    address: message.address,
    owner: viewOwner(message.owner),
    allocatedAt: viewTime(message.allocatedAt),
    releasedAt: viewTime(message.releasedAt),
    reason: orNull(message.reason),
  };
}

export function viewSubnet(message: Subnet): SubnetView {
  return {
    cidr: message.cidr,
    // A newer agent may know states that this program does not.
    state: (SubnetState[message.state] ?? "unknown").toLowerCase(),
    node: orNull(message.node),
    gateway: message.gateway,
    since: viewTime(message.since),
    reason: orNull(message.reason),
  };
}

export function viewNode(message: Node): NodeView {
  return {
    name: message.name,
    // A newer agent may know states that this program does not.
    state: (NodeState[message.state] ?? "unknown").toLowerCase()
      .replaceAll("_", " "),
    subnets: message.subnets,
    advertised: message.advertised,
    apiUrl: orNull(message.apiUrl),
    joinedAt: viewTime(message.joinedAt),
    seenAt: viewTime(message.seenAt),
  };
}

export function viewRoute(message: Route): RouteView {
  const { cidr, target } = message;
  return { cidr, target, addedAt: viewTime(message.addedAt) };
}

export function viewStatus(message: GetStatusResponse): StatusView {
  const { networks, subnets } = message;
  return {
    node: message.node,
    instanceId: message.instanceId,
    version: message.version,
    startedAt: viewTime(message.startedAt),
    clusterId: message.clusterId,
    store: message.store,
    listeners: message.listeners,
    networks: networks.map(({ cidr, subnetPrefixLength }) => ({
      cidr,
      subnetPrefixLength,
    })),
    subnets: subnets.map(viewUsage),
    nodes: message.nodes,
    routes: message.routes,
    queued: message.queued,
    leaked: message.leaked,
    warnings: message.warnings,
  };
}

function viewUsage(message: SubnetUsage): UsageView {
  const { cidr, gateway, capacity, held, cooling } = message;
  return {
    cidr,
    gateway,
    capacity,
    held: Number(held),
    cooling: Number(cooling),
    free: String(BigInt(capacity) - held - cooling),
  };
}

function viewOwner(
  owner: Allocation["owner"],
): OwnerView {
  return {
    network: owner?.network ?? "",
    containerId: owner?.containerId ?? "",
    interfaceName: owner?.interfaceName ?? "",
  };
}

function viewTime(time: Timestamp | undefined): string | null {
  return time ? timestampDate(time).toISOString() : null;
}

function orNull(text: string): string | null {
  return text === "" ? null : text;
}
