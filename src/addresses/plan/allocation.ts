import type { Address } from "../../net/address.ts";
import type { Prefix } from "../../net/prefix.ts";

/**
 * Who holds an allocation: the key of everything in IPAM. A container may have
 * several interfaces, and be in several networks.
 */
export interface Owner {
  /** Name of the container network, as in the CNI configuration. */
  readonly network: string;
  readonly containerId: string;
  readonly interfaceName: string;
}

/** What a CNI runtime told about the container: the evidence for collecting it later. */
export interface Attachment {
  /** Path of the network namespace; empty when it is not known. */
  readonly netns: string;
  /** Whether the namespace was there at the time: only then can it vanish. */
  readonly netnsSeen: boolean;
  /** Boot id of the host at the time. */
  readonly bootId: string;
}

/** One address of an allocation, and the subnet that it comes from. */
export interface AllocatedAddress {
  readonly address: Address;
  readonly subnet: Prefix;
}

/** What one owner holds: one address of each of the node's subnets. */
export interface Allocation {
  readonly owner: Owner;
  readonly addresses: readonly AllocatedAddress[];
  readonly allocatedAtMs: number;
  /** Whether an address was asked for by its number. */
  readonly requested: boolean;
  /** Absent for what was allocated over the API, which is never collected. */
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
