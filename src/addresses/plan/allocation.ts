import type { Address } from "../../net/address.ts";
import type { Prefix } from "../../net/prefix.ts";
import type { Owner } from "../../base/names.ts";
import type { Attachment } from "./attachment.ts";

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

/** An address that is kept for an owner, or from everybody. */
export interface Reservation {
  readonly address: Address;
  /** The only owner that can get it; undefined: nobody can. */
  readonly owner?: Owner;
  readonly reason: string;
  readonly reservedAtMs: number;
}
