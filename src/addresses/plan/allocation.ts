import type { Address } from "../../net/address.ts";
import type { Prefix } from "../../net/prefix.ts";
import type { Labels, Owner } from "../../base/names.ts";
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
  /** Of the callers of the API; none where it is undefined. */
  readonly labels?: Labels;
  /** Time to live after the last sign of its caller, in ms; undefined: no limit. */
  readonly ttlMs?: number;
  /** Number of signs of its caller in a store that several agents share. */
  readonly renewals?: number;
}

/**
 * Whether an allocation is of a container, if one is wanted, and has all wanted
 * labels with the same values.
 */
export function isSelected(
  { owner, labels = {} }: Allocation,
  wanted: {
    readonly containerId?: string | undefined;
    readonly labels?: Labels;
  },
): boolean {
  const { containerId = owner.containerId } = wanted;
  return owner.containerId === containerId &&
    Object.entries(wanted.labels ?? {}).every(([key, value]) =>
      Object.hasOwn(labels, key) && labels[key] === value
    );
}

function sameLabels(a: Labels, b: Labels): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length &&
    keys.every((key) => Object.hasOwn(b, key) && a[key] === b[key]);
}

/**
 * An allocation with the labels and the time to live that a request gives it;
 * the same one where nothing changes. A CNI ADD ends a time to live: from then
 * on the runtime releases the allocation.
 */
export function withTerms(
  held: Allocation,
  { labels, ttlMs, attachment }: Pick<
    Allocation,
    "labels" | "ttlMs" | "attachment"
  >,
): Allocation {
  const { ttlMs: hadTtlMs, ...rest } = held;
  const nextTtlMs = attachment ? undefined : ttlMs ?? hadTtlMs;
  const nextLabels = labels ?? held.labels;
  if (
    nextTtlMs === hadTtlMs && sameLabels(nextLabels ?? {}, held.labels ?? {})
  ) {
    return held;
  }
  return {
    ...rest,
    ...nextLabels && { labels: nextLabels },
    ...nextTtlMs !== undefined && { ttlMs: nextTtlMs },
  };
}

/** An address that is reserved for an owner, or that nobody gets. */
export interface Reservation {
  readonly address: Address;
  /** The only owner that can get it; undefined: nobody can. */
  readonly owner?: Owner;
  readonly reason: string;
  readonly reservedAtMs: number;
}
