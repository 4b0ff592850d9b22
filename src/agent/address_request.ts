import type { Attachment } from "../addresses/plan/attachment.ts";
import type { Labels, Owner } from "../base/names.ts";
import type { Address } from "../net/address.ts";
import type { Prefix } from "../net/prefix.ts";

/** A request for addresses over the API or by a CNI runtime. */
export interface AddressRequest {
  /** Id of the new allocation or ADD. Default: a random one. */
  readonly id?: string;
  readonly owner: Owner;
  /** Specific addresses, at most one of each network. */
  readonly addresses: readonly Address[];
  /** Path of the network namespace, empty when not known. Undefined unless a CNI runtime asks. */
  readonly netns?: string;
  /** Of an endpoint of Docker; undefined unless Docker asks. */
  readonly attachment?: Attachment;
  /** Whether the owner has the address already, so that it may answer. Default false. */
  readonly isAttached?: boolean;
  /** The subnet of the only address to give. Undefined: one of each network. */
  readonly within?: Prefix;
  /** Labels; undefined: those that the allocation has. */
  readonly labels?: Labels;
  /** Time to live in ms; undefined: the one that the allocation has, or none. */
  readonly ttlMs?: number;
}

/** A release over the API or by a CNI runtime. */
export interface AddressRelease {
  readonly owner: Owner;
  readonly reason: string;
  /** Only the allocation with this id. Default: any. */
  readonly id?: string;
  /** Path of the network namespace that a DEL names; empty when it names none. */
  readonly netns?: string;
}
