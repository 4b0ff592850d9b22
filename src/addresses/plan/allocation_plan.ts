import { type Refusal, refuse } from "../../base/plan.ts";
import { type Address, formatAddress } from "../../net/address.ts";
import { exclusionOf, formatPrefix, type Prefix } from "../../net/prefix.ts";
import {
  type AllocatedAddress,
  type Allocation,
  type Reservation,
  withTerms,
} from "./allocation.ts";
import {
  formatOwner,
  type Labels,
  type Owner,
  ownerKey,
} from "../../base/names.ts";
import { type Attachment, CONSEQUENCES, type Presence } from "./attachment.ts";
import type { NodePool, PoolChange } from "./node_pool.ts";
import type { SubnetPool } from "./subnet_pool.ts";

/** A request for addresses. */
export interface AllocationRequest {
  /** Id of a new allocation, or of the ADD. */
  readonly id: string;
  readonly owner: Owner;
  /** Specific addresses, at most one of each subnet. */
  readonly addresses: readonly Address[];
  /** Undefined unless a CNI runtime asks. */
  readonly attachment?: Attachment;
  /** Labels of the allocation; undefined: those that it has. */
  readonly labels?: Labels;
  /** Time to live in ms; undefined: the one that it has, or none. */
  readonly ttlMs?: number;
  /** The container that held the owner's allocation just before, with the id of that. */
  readonly holder?: { readonly id: string; readonly presence: Presence };
  /**
   * Addresses that others use on the host, with a text on each user, see
   * NeighbourLookup.
   */
  readonly answering?: ReadonlyMap<string, string>;
  /** The subnet of the only address to give. Undefined: one of each subnet. */
  readonly within?: Prefix;
}

/** The answer to a request. */
export interface AllocationPlan {
  readonly kind: "allocated";
  readonly allocation: Allocation;
  /** Whether this request made the allocation; false: the owner held it before. */
  readonly created: boolean;
  /** Whether this request renewed the attachment of an allocation that the owner held. */
  readonly renewed: boolean;
  /** Whether this request changed an allocation that the owner held: its attachment, labels or time to live. */
  readonly updated: boolean;
  /** Addresses that the request did not get because others use them. */
  readonly avoided: readonly string[];
  readonly changes: readonly PoolChange[];
}

/** The owner got another allocation after the host was asked for its container. */
export interface HolderChanged {
  readonly kind: "holder changed";
}

/** The outcome of a request. */
export type Allocated = Pick<
  AllocationPlan,
  "allocation" | "created" | "renewed" | "updated" | "avoided"
>;

/** Cooled addresses that one plan frees: more than it takes, so that they do not pile up. */
const THAW_LIMIT = 4;
const GAVE_WAY = "the host was booted again since, and another owner needed it";
const REPLACED =
  "its container is gone, and a new one requested another address";
const IN_USE = "its container is gone, and another host uses the address";

/** Plans the addresses of one request: all of them or a refusal. */
export function planAllocation(
  pool: NodePool,
  request: AllocationRequest,
  nowMs: number,
): AllocationPlan | Refusal | HolderChanged {
  const held = pool.get(request.owner);
  if (!held) return planNew(pool, request, nowMs);
  // Docker asks once for each endpoint: another request is for another one.
  if (
    request.attachment?.docker || held.attachment?.docker && request.attachment
  ) return refuseHeld(held);
  if (!held.attachment || !request.attachment) return planSame(held, request);
  if (request.holder?.id !== held.id) return { kind: "holder changed" };
  const { presence } = request.holder;
  if (CONSEQUENCES[presence].add === "refuse") return refuseRunning(held);
  // Its own container has ended, so that another one answers.
  if (presence !== "unknown" && inUseOf(held, request).length > 0) {
    return planNew(pool, request, nowMs, { held, reason: IN_USE });
  }
  const same = planSame(held, request);
  if (same.kind === "refused") {
    if (presence === "unknown") return same;
    return planNew(pool, request, nowMs, { held, reason: REPLACED });
  }
  // Nothing tells it from the ADD before: it may be that one, sent again.
  if (
    presence === "unknown" && held.attachment.netns === request.attachment.netns
  ) {
    return same;
  }
  const allocation: Allocation = {
    ...withTerms(held, request),
    id: request.id,
    attachment: request.attachment,
  };
  return {
    kind: "allocated",
    allocation,
    created: false,
    renewed: true,
    updated: true,
    avoided: [],
    changes: [{ kind: "renew", allocation }],
  };
}

/** Plans the release of an owner's allocation; no change when it has none. */
export function planRelease(
  pool: NodePool,
  owner: Owner,
  release: { readonly nowMs: number; readonly reason: string },
): readonly PoolChange[] {
  const allocation = pool.get(owner);
  return allocation
    ? [releaseOf(allocation, release.nowMs, release.reason)]
    : [];
}

/**
 * Plans the end of cooling for addresses that were released `coolDownMs` ago
 * or longer: a few at a time, so that no request pays for many.
 */
export function planThaw(
  pool: NodePool,
  nowMs: number,
  coolDownMs: number,
): PoolChange[] {
  return pool.subnets.flatMap((subnetPool) =>
    subnetPool.cooledBefore(nowMs - coolDownMs, THAW_LIMIT)
      .map((address) => ({ kind: "thaw" as const, address }))
  );
}

/** Plans a reservation. Only the owner of the reservation may hold the address. */
export function planReservation(
  pool: NodePool,
  reservation: Reservation,
): readonly PoolChange[] | Refusal {
  const { address, owner } = reservation;
  const what = `Cannot reserve "${formatAddress(address)}"`;
  const subnetPool = poolFor(pool, address, what);
  if ("kind" in subnetPool) return subnetPool;
  const holder = subnetPool.holderOf(address);
  if (holder && !(owner && ownerKey(owner) === ownerKey(holder))) {
    return refuse(
      "already_exists",
      `${what}: ${formatOwner(holder)} holds it; release it first`,
    );
  }
  return [{ kind: "reserve", reservation }];
}

/** The addresses of an allocation that others use. */
function inUseOf(
  { addresses }: Allocation,
  { answering }: AllocationRequest,
): string[] {
  return addresses.map(({ address }) => formatAddress(address))
    .filter((text) => answering?.has(text) ?? false);
}

function planNew(
  pool: NodePool,
  request: AllocationRequest,
  nowMs: number,
  replaced?: { readonly held: Allocation; readonly reason: string },
): AllocationPlan | Refusal {
  const chosen = chooseRequested(pool, request);
  if (!(chosen instanceof Map)) return chosen;
  const givingWay = new Set<Allocation>();
  const avoided = new Set(replaced ? inUseOf(replaced.held, request) : []);
  const isAvoided = (address: Address) => {
    const text = formatAddress(address);
    const isUsed = request.answering?.has(text) ?? false;
    if (isUsed) avoided.add(text);
    return isUsed;
  };
  // Not pushed one by one: arrays that grow keep room for 17 elements.
  const pools = poolsWithin(pool, request);
  if ("kind" in pools) return pools;
  const addresses = new Array<AllocatedAddress>(pools.length);
  for (const [i, subnetPool] of pools.entries()) {
    const reserved = pool.reservedFor(request.owner, subnetPool);
    const address = chosen.get(subnetPool) ??
      (reserved && !isAvoided(reserved) ? reserved : undefined) ??
      subnetPool.next(request.answering && isAvoided) ??
      pool.ofOtherBoot(
        subnetPool,
        (address) => !subnetPool.reservationOf(address) && !isAvoided(address),
      )?.address;
    if (!address) return refuseExhausted(subnetPool, avoided);
    const holder = subnetPool.holderOf(address);
    const given = holder && pool.get(holder);
    if (given && given !== replaced?.held) givingWay.add(given);
    addresses[i] = { address, subnet: subnetPool.subnet };
  }
  const allocation: Allocation = {
    id: request.id,
    owner: request.owner,
    addresses,
    allocatedAtMs: nowMs,
    requested: request.addresses.length > 0,
    ...(request.attachment && { attachment: request.attachment }),
    ...(request.labels && { labels: request.labels }),
    ...(request.ttlMs !== undefined && { ttlMs: request.ttlMs }),
  };
  return {
    kind: "allocated",
    allocation,
    created: true,
    renewed: false,
    updated: false,
    avoided: [...avoided],
    changes: [
      ...replaced ? [releaseOf(replaced.held, nowMs, replaced.reason)] : [],
      ...[...givingWay].map((given) => releaseOf(given, nowMs, GAVE_WAY)),
      { kind: "hold", allocation },
    ],
  };
}

function releaseOf(
  allocation: Allocation,
  releasedAtMs: number,
  reason: string,
): PoolChange {
  return { kind: "release", allocation, releasedAtMs, reason };
}

function planSame(
  held: Allocation,
  request: AllocationRequest,
): AllocationPlan | Refusal {
  for (const address of request.addresses) {
    const text = formatAddress(address);
    if (!held.addresses.some((a) => formatAddress(a.address) === text)) {
      const has = held.addresses.map((a) => formatAddress(a.address));
      return refuse(
        "already_exists",
        `Cannot allocate "${text}" to ${formatOwner(request.owner)}: it holds ${
          has.join(" and ")
        } already; release that first`,
      );
    }
  }
  if (held.attachment && request.ttlMs !== undefined) {
    return refuse(
      "failed_precondition",
      `Cannot give ${
        formatOwner(held.owner)
      } a time to live: a container runtime releases what it holds`,
    );
  }
  const allocation = withTerms(held, request);
  return {
    kind: "allocated",
    allocation,
    created: false,
    renewed: false,
    updated: allocation !== held,
    avoided: [],
    changes: allocation === held ? [] : [{ kind: "renew", allocation }],
  };
}

/** The pools that a request gets an address of. */
function poolsWithin(
  { subnets }: NodePool,
  { within }: AllocationRequest,
): readonly SubnetPool[] | Refusal {
  if (!within) return subnets;
  const text = formatPrefix(within);
  const found = subnets.filter(({ subnet }) => formatPrefix(subnet) === text);
  if (found.length > 0) return found;
  return refuse(
    "failed_precondition",
    `Cannot allocate an address of ${text}: the node's subnet is ${
      subnets.map(({ subnet }) => formatPrefix(subnet)).join(" and ")
    }`,
  );
}

function chooseRequested(
  pool: NodePool,
  request: AllocationRequest,
): Map<SubnetPool, Address> | Refusal {
  const chosen = new Map<SubnetPool, Address>();
  for (const address of request.addresses) {
    const text = formatAddress(address);
    const what = `Cannot allocate "${text}"`;
    const subnetPool = poolFor(pool, address, what);
    if ("kind" in subnetPool) return subnetPool;
    const other = chosen.get(subnetPool);
    if (other) {
      return refuse(
        "invalid_argument",
        `Cannot allocate "${
          formatAddress(other)
        }" and "${text}": an owner gets one address of ${
          formatPrefix(subnetPool.subnet)
        }`,
      );
    }
    const taken = takenBy(pool, subnetPool, { ...request, address });
    if (taken !== undefined) {
      return refuse("already_exists", `${what}: it is ${taken}`);
    }
    chosen.set(subnetPool, address);
  }
  return chosen;
}

/** Why an owner cannot get an address, undefined when it can. */
function takenBy(
  pool: NodePool,
  subnetPool: SubnetPool,
  { address, owner, answering }: AllocationRequest & {
    readonly address: Address;
  },
): string | undefined {
  const isOwner = (other: Owner | undefined) =>
    other !== undefined && ownerKey(other) === ownerKey(owner);
  const holder = subnetPool.holderOf(address);
  if (holder && !isOwner(holder) && !pool.isOfOtherBoot(holder)) {
    return `held by ${formatOwner(holder)}`;
  }
  const reservation = subnetPool.reservationOf(address);
  if (reservation && !isOwner(reservation.owner)) {
    const reserved = reservation.owner
      ? `reserved for ${formatOwner(reservation.owner)}`
      : "reserved";
    return reservation.reason === ""
      ? reserved
      : `${reserved} (${reservation.reason})`;
  }
  const answerer = answering?.get(formatAddress(address));
  return answerer &&
    `in use: ${answerer} answers to it, and no container ${
      holder ? "that runs " : ""
    }holds it`;
}

/** The pool that may give out an address. */
function poolFor(
  pool: NodePool,
  address: Address,
  what: string,
): SubnetPool | Refusal {
  const subnetPool = pool.poolOf(address);
  if (!subnetPool) {
    const subnets = pool.subnets.map((p) => formatPrefix(p.subnet));
    return refuse(
      "invalid_argument",
      `${what}: it is outside the node's subnet ${subnets.join(" and ")}`,
    );
  }
  const exclusion = exclusionOf(subnetPool.subnet, address);
  if (exclusion) {
    return refuse(
      "invalid_argument",
      `${what}: it is the ${exclusion} of ${formatPrefix(subnetPool.subnet)}`,
    );
  }
  return subnetPool;
}

/** The allocation of a node that would claim its subnets first: its addresses are not known. */
export function planUnclaimed(
  { addresses, ...rest }: Pick<
    AllocationRequest,
    "id" | "owner" | "addresses" | "labels" | "ttlMs"
  >,
  nowMs: number,
): Allocated {
  const outcome = { created: true, renewed: false, updated: false };
  const requested = addresses.length > 0;
  const allocation = {
    ...rest,
    addresses: [],
    allocatedAtMs: nowMs,
    requested,
  };
  return { ...outcome, allocation, avoided: [] };
}

function refuseRunning({ owner, attachment }: Allocation): Refusal {
  return refuse(
    "already_exists",
    `Cannot allocate to ${formatOwner(owner)}: a container with this id is ` +
      `running in the network namespace ${attachment?.netns}; delete it first, ` +
      "or give the new one another id",
  );
}

function refuseHeld({ owner, addresses }: Allocation): Refusal {
  return refuse(
    "already_exists",
    `Cannot allocate to ${formatOwner(owner)}: it holds ${
      addresses.map(({ address }) => formatAddress(address)).join(" and ")
    } already`,
  );
}

function refuseExhausted(
  pool: SubnetPool,
  avoided: ReadonlySet<string>,
): Refusal {
  const { capacity, reservedCount } = pool;
  const others = [
    ...reservedCount > 0 ? [`${reservedCount} of them reserved`] : [],
    ...avoided.size > 0
      ? [`in use without an owner: ${[...avoided].join(", ")}`]
      : [],
  ];
  return refuse(
    "exhausted",
    `IP allocation exhausted: all ${capacity} addresses of ${
      formatPrefix(pool.subnet)
    } are held${others.length > 0 ? ` (${others.join(", ")})` : ""}`,
  );
}
