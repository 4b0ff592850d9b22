import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  durationFromMs,
  type Timestamp,
  timestampFromMs,
} from "@bufbuild/protobuf/wkt";
import type { AgentStatus } from "../../agent/status.ts";
import type { HistoryRecord } from "../../addresses/history.ts";
import type { SubnetListing } from "../../registry/plan/subnet_listing.ts";
import type { RouteRecord } from "../../registry/plan/cluster_state.ts";
import {
  type AddressRunSchema,
  AddressState,
  type Allocation as AllocationMessage,
  AllocationSchema,
  type HistoryRecord as HistoryRecordMessage,
  HistoryRecordSchema,
  type Reservation as ReservationMessage,
  ReservationSchema,
} from "../../gen/stellar/net/v1/ipam_pb.ts";
import type { SubnetUsageSchema } from "../../gen/stellar/net/v1/agent_pb.ts";
import {
  type NetworkSchema,
  type RouteSchema,
  type SubnetSchema,
  SubnetState,
} from "../../gen/stellar/net/v1/registry_pb.ts";
import type { AddressRun } from "../../addresses/plan/address_runs.ts";
import type {
  Allocation,
  Reservation,
} from "../../addresses/plan/allocation.ts";
import { formatAddress } from "../../net/address.ts";
import type { Carve } from "../../net/carve.ts";
import { formatPrefix, gatewayOf } from "../../net/prefix.ts";

const ADDRESS_STATES: Readonly<Record<AddressRun["state"], AddressState>> = {
  held: AddressState.HELD,
  cooling: AddressState.COOLING,
  reserved: AddressState.RESERVED,
  leaked: AddressState.LEAKED,
};
const SUBNET_STATES: Record<SubnetListing["state"], SubnetState> = {
  owned: SubnetState.OWNED,
  reserved: SubnetState.RESERVED,
  conflicting: SubnetState.CONFLICTING,
  released: SubnetState.RELEASED,
};

/** The state of an allocation at its agent. */
export interface AllocationState {
  /** Why it seems to be leaked; empty when it does not. */
  readonly leak?: string;
  /** When it expires without a keep-alive, in ms since 1970; undefined: never. */
  readonly expiresAtMs?: number | undefined;
}

/** The message of an allocation. */
export function allocationMessage(
  node: string,
  allocation: Allocation,
  { leak = "", expiresAtMs }: AllocationState = {},
): AllocationMessage {
  const { attachment, labels, ttlMs } = allocation;
  return create(AllocationSchema, {
    node,
    id: allocation.id,
    owner: allocation.owner,
    addresses: allocation.addresses.map(({ address, subnet }) => ({
      address: formatAddress(address),
      subnet: formatPrefix(subnet),
      gateway: formatAddress(gatewayOf(subnet)),
    })),
    allocatedAt: timestampFromMs(allocation.allocatedAtMs),
    requested: allocation.requested,
    ...(attachment && {
      attachment: {
        netns: attachment.netns,
        bootId: attachment.bootId,
        netnsInode: BigInt(attachment.namespace?.inode ?? 0),
      },
    }),
    leak,
    ...(labels && { labels: { ...labels } }),
    ...(ttlMs !== undefined && { ttl: durationFromMs(ttlMs) }),
    ...optionalTime("expiresAt", expiresAtMs),
  });
}

export function historyMessage(record: HistoryRecord): HistoryRecordMessage {
  return create(HistoryRecordSchema, {
    node: record.node,
    address: record.address,
    owner: record.owner,
    allocatedAt: timestampFromMs(record.allocatedAtMs),
    ...optionalTime("releasedAt", record.releasedAtMs),
    reason: record.reason,
    allocationId: record.id,
  });
}

/** A run of addresses that share a state. */
export function addressRunMessage(
  { first, last, state }: AddressRun,
): MessageInitShape<typeof AddressRunSchema> {
  return {
    first: formatAddress(first),
    last: formatAddress(last),
    state: ADDRESS_STATES[state],
  };
}

export function reservationMessage(
  node: string,
  reservation: Reservation,
): ReservationMessage {
  const { address, owner, reason, reservedAtMs } = reservation;
  return create(ReservationSchema, {
    node,
    address: formatAddress(address),
    ...(owner && { owner }),
    reason,
    reservedAt: timestampFromMs(reservedAtMs),
  });
}

export function subnetMessage(
  listing: SubnetListing,
): MessageInitShape<typeof SubnetSchema> {
  return {
    cidr: formatPrefix(listing.subnet),
    gateway: formatAddress(gatewayOf(listing.subnet)),
    state: SUBNET_STATES[listing.state],
    node: listing.node,
    reason: listing.reason,
    ...optionalTime("since", listing.sinceMs),
  };
}

/** The message of an extra route. */
export function routeMessage(
  route: RouteRecord,
): MessageInitShape<typeof RouteSchema> {
  return {
    cidr: formatPrefix(route.destination),
    target: formatAddress(route.target),
    addedAt: timestampFromMs(route.addedAtMs),
  };
}

export function networkMessage(
  carve: Carve,
): MessageInitShape<typeof NetworkSchema> {
  return {
    cidr: formatPrefix(carve.network),
    subnetPrefixLength: carve.subnetPrefixLength,
  };
}

/** The message of a subnet's use. */
export function usageMessage(
  usage: AgentStatus["usage"][number],
  trend?: { readonly perDay: number; readonly fullAtMs: number | undefined },
): MessageInitShape<typeof SubnetUsageSchema> {
  return {
    cidr: formatPrefix(usage.subnet),
    gateway: formatAddress(gatewayOf(usage.subnet)),
    capacity: usage.capacity.toString(),
    held: BigInt(usage.held),
    cooling: BigInt(usage.cooling),
    ...trend && { growthPerDay: trend.perDay },
    ...optionalTime("fullAt", trend?.fullAtMs),
  };
}

function optionalTime<K extends string>(
  field: K,
  ms: number | undefined,
): { [P in K]?: Timestamp } {
  return ms === undefined
    ? {}
    : { [field]: timestampFromMs(ms) } as { [P in K]: Timestamp };
}
