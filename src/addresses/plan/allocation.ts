import type { Address } from "../../net/address.ts";
import type { Prefix } from "../../net/prefix.ts";
import type { Attachment } from "./attachment.ts";

/**
 * The holder of an allocation, by which everything in IPAM is keyed. A container
 * may have several interfaces, and be in several networks.
 */
export interface Owner {
  /** Name of the container network, as in the CNI configuration. */
  readonly network: string;
  readonly containerId: string;
  readonly interfaceName: string;
}

/** One address of an allocation, and the subnet that it comes from. */
export interface AllocatedAddress {
  readonly address: Address;
  readonly subnet: Prefix;
}

/** The addresses of one owner: one of each of the node's subnets. */
export interface Allocation {
  /** Id of the call that made the allocation, or of the ADD that renewed it last. */
  readonly id: string;
  readonly owner: Owner;
  readonly addresses: readonly AllocatedAddress[];
  readonly allocatedAtMs: number;
  /** Whether the owner requested a specific address. */
  readonly requested: boolean;
  /** Undefined for an allocation over the API, which is never collected. */
  readonly attachment?: Attachment;
}

/** The key of an owner in maps; no two owners share one. */
export function ownerKey(owner: Owner): string {
  return JSON.stringify([
    owner.network,
    owner.containerId,
    owner.interfaceName,
  ]);
}

/** Names an owner for people, such as `"web1" (eth0 in default)`. */
export function formatOwner(owner: Owner): string {
  return `"${owner.containerId}" (${owner.interfaceName} in ${owner.network})`;
}

/** An address that is kept for an owner, or from everybody. */
export interface Reservation {
  readonly address: Address;
  /** The only owner that can get it; undefined: nobody can. */
  readonly owner?: Owner;
  readonly reason: string;
  readonly reservedAtMs: number;
}
