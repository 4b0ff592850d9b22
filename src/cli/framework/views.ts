import { type Timestamp, timestampDate } from "@bufbuild/protobuf/wkt";
import {
  type Allocation,
  type HistoryRecord,
  type Node,
  NodeState,
  type Subnet,
  SubnetState,
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
    state: viewName(SubnetState, message.state),
    node: orNull(message.node),
    gateway: message.gateway,
    since: viewTime(message.since),
    reason: orNull(message.reason),
  };
}

export function viewNode(message: Node): NodeView {
  return {
    name: message.name,
    state: viewName(NodeState, message.state),
    subnets: message.subnets,
    advertised: message.advertised,
    apiUrl: orNull(message.apiUrl),
    joinedAt: viewTime(message.joinedAt),
    seenAt: viewTime(message.seenAt),
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

/** A time as RFC 3339. */
export function viewTime(time: Timestamp | undefined): string | null {
  return time ? timestampDate(time).toISOString() : null;
}

/** The name of a value of an enumeration, such as `no agent`. */
export function viewName(
  names: Readonly<Record<number, string>>,
  value: number,
): string {
  // A newer agent may know values that this program does not.
  return (names[value] ?? "unknown").toLowerCase().replaceAll("_", " ");
}

/** A text, or null for none. */
export function orNull(text: string): string | null {
  return text === "" ? null : text;
}
