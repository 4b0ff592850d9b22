import { type Refusal, refuse } from "../../base/plan.ts";
import { type Address, formatAddress } from "../../net/address.ts";
import { formatPrefix } from "../../net/prefix.ts";
import { exclusionOf } from "../../net/subnet.ts";
import {
  type AllocatedAddress,
  type Allocation,
  type Attachment,
  formatOwner,
  type Owner,
} from "./allocation.ts";
import type { NodePool, PoolChange } from "./node_pool.ts";
import type { SubnetPool } from "./subnet_pool.ts";

/** What an owner asks for. */
export interface AllocationRequest {
  readonly owner: Owner;
  /** Addresses asked for by number, at most one of each subnet. */
  readonly addresses: readonly Address[];
  /** Present when a CNI runtime asks. */
  readonly attachment?: Attachment;
}

/** The answer to a request. `created: false`: the owner held it before. */
export interface AllocationPlan {
  readonly kind: "allocated";
  readonly allocation: Allocation;
  readonly created: boolean;
  readonly changes: readonly PoolChange[];
}

/** How many cooled addresses one plan sets free: more than it takes, so that none pile up. */
const THAW_LIMIT = 4;

/** Plans the addresses of one request: all of them or a refusal. */
export function planAllocation(
  pool: NodePool,
  request: AllocationRequest,
  nowMs: number,
): AllocationPlan | Refusal {
  const held = pool.get(request.owner);
  if (held) return planHeld(held, request);
  const chosen = assignRequested(pool, request.addresses);
  if (!(chosen instanceof Map)) return chosen;
  // Not pushed one by one: arrays that grow keep room for 17 elements.
  const addresses = new Array<AllocatedAddress>(pool.subnets.length);
  for (const [i, subnetPool] of pool.subnets.entries()) {
    const address = chosen.get(subnetPool) ?? subnetPool.next();
    if (!address) return refuseExhausted(subnetPool);
    addresses[i] = { address, subnet: subnetPool.subnet };
  }
  const allocation: Allocation = {
    owner: request.owner,
    addresses,
    allocatedAtMs: nowMs,
    requested: request.addresses.length > 0,
    ...(request.attachment && { attachment: request.attachment }),
  };
  return {
    kind: "allocated",
    allocation,
    created: true,
    changes: [{ kind: "hold", allocation }],
  };
}

/** Plans the release of what an owner holds; no change when it holds nothing. */
export function planRelease(
  pool: NodePool,
  owner: Owner,
  release: { readonly nowMs: number; readonly reason: string },
): readonly PoolChange[] {
  const allocation = pool.get(owner);
  return allocation
    ? [{
      kind: "release",
      allocation,
      releasedAtMs: release.nowMs,
      reason: release.reason,
    }]
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

function planHeld(
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
  return { kind: "allocated", allocation: held, created: false, changes: [] };
}

function assignRequested(
  pool: NodePool,
  addresses: readonly Address[],
): Map<SubnetPool, Address> | Refusal {
  const chosen = new Map<SubnetPool, Address>();
  for (const address of addresses) {
    const text = formatAddress(address);
    const subnetPool = pool.poolOf(address);
    if (!subnetPool) {
      const subnets = pool.subnets.map((p) => formatPrefix(p.subnet));
      return refuse(
        "invalid_argument",
        `Cannot allocate "${text}": it is outside the node's subnet ${
          subnets.join(" and ")
        }`,
      );
    }
    const subnet = formatPrefix(subnetPool.subnet);
    const other = chosen.get(subnetPool);
    if (other) {
      return refuse(
        "invalid_argument",
        `Cannot allocate "${
          formatAddress(other)
        }" and "${text}": an owner gets one address of ${subnet}`,
      );
    }
    const exclusion = exclusionOf(subnetPool.subnet, address);
    if (exclusion) {
      return refuse(
        "invalid_argument",
        `Cannot allocate "${text}": it is the ${exclusion} of ${subnet}`,
      );
    }
    const holder = subnetPool.holderOf(address);
    if (holder) {
      return refuse(
        "already_exists",
        `Cannot allocate "${text}": it is held by ${formatOwner(holder)}`,
      );
    }
    chosen.set(subnetPool, address);
  }
  return chosen;
}

function refuseExhausted(pool: SubnetPool): Refusal {
  return refuse(
    "exhausted",
    `IP allocation exhausted: all ${pool.capacity} addresses of ${
      formatPrefix(pool.subnet)
    } are held`,
  );
}
