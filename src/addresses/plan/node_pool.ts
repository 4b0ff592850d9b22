import { type Address, formatAddress } from "../../net/address.ts";
import type {
  AllocatedAddress,
  Allocation,
  Reservation,
} from "./allocation.ts";
import { type Owner, ownerKey } from "../../base/names.ts";
import type { SubnetPool } from "./subnet_pool.ts";

/** A change of a node's addresses. */
export type PoolChange =
  | { readonly kind: "hold"; readonly allocation: Allocation }
  /** Replaces the allocation of its owner, which has the same addresses. */
  | {
    readonly kind: "renew";
    readonly allocation: Allocation;
    /** The owner that had them, where it gets another name. */
    readonly formerOwner?: Owner;
  }
  | {
    readonly kind: "release";
    readonly allocation: Allocation;
    readonly releasedAtMs: number;
    /** For the history. */
    readonly reason: string;
  }
  | { readonly kind: "thaw"; readonly address: Address }
  | { readonly kind: "reserve"; readonly reservation: Reservation }
  | { readonly kind: "unreserve"; readonly address: Address };

/** All addresses of one node: a pool for each of its subnets, and the allocations. */
export class NodePool {
  readonly subnets: readonly SubnetPool[];
  readonly #bootId: string | undefined;
  readonly #allocations = new Map<string, Allocation>();
  /** The keys of the owners whose containers belong to another boot. */
  readonly #otherBoot = new Set<string>();
  /** The allocations with a time to live, by owner. */
  readonly #mortal = new Map<string, Allocation>();
  /** The reserved addresses of an owner. */
  readonly #reserved = new Map<string, Map<string, Address>>();

  /**
   * @param subnets one of each network, in the order of the networks
   * @param bootId boot id of the host; undefined: containers run elsewhere
   */
  constructor(subnets: readonly SubnetPool[], bootId?: string) {
    this.subnets = subnets;
    this.#bootId = bootId;
  }

  /** The number of allocations. */
  get size(): number {
    return this.#allocations.size;
  }

  /** The allocation of an owner, undefined when there is none. */
  get(owner: Owner): Allocation | undefined {
    return this.#allocations.get(ownerKey(owner));
  }

  /**
   * The allocations in order of their first address, after an address. The
   * subnets follow each other in the order of the networks. The cost of a page
   * depends only on its length.
   */
  *allocations(behind?: Address): Generator<Allocation> {
    const from = behind ? this.subnets.findIndex((p) => p.contains(behind)) : 0;
    for (const [i, pool] of this.subnets.entries()) {
      if (i < from) continue;
      const isBehind = i === from ||
        from < 0 && behind?.family === pool.subnet.family;
      let address = isBehind ? behind : undefined;
      address ??= pool.subnet;
      while ((address = pool.heldBehind(address))) {
        const allocation = this.get(pool.holderOf(address)!);
        const [first] = allocation?.addresses ?? [];
        // One that has addresses in several subnets comes once.
        if (allocation && first && pool.contains(first.address)) {
          yield allocation;
        }
      }
    }
  }

  /** The allocations, in no order. */
  values(): IteratorObject<Allocation> {
    return this.#allocations.values();
  }

  /** The allocations with a time to live, in no order. */
  get mortal(): IteratorObject<Allocation> {
    return this.#mortal.values();
  }

  /** Whether the container of an owner belongs to another boot, and so is gone. */
  isOfOtherBoot(owner: Owner): boolean {
    return this.#otherBoot.has(ownerKey(owner));
  }

  /** An allocation of another boot with an address of a subnet, undefined when there is none. */
  ofOtherBoot(
    subnet: SubnetPool,
    isUsable: (address: Address) => boolean,
  ): { allocation: Allocation; address: Address } | undefined {
    for (const key of this.#otherBoot) {
      const allocation = this.#allocations.get(key)!;
      const found = allocation.addresses.find(({ address }) =>
        subnet.contains(address) && isUsable(address)
      );
      if (found) return { allocation, address: found.address };
    }
    return undefined;
  }

  /** The address of a subnet that is reserved for an owner and that it can get. */
  reservedFor(owner: Owner, subnet: SubnetPool): Address | undefined {
    return this.#reserved.get(ownerKey(owner))?.values().find((address) => {
      const holder = subnet.holderOf(address);
      return subnet.contains(address) &&
        (!holder || this.isOfOtherBoot(holder));
    });
  }

  /** The pool of an address, undefined when it is in none. */
  poolOf(address: Address): SubnetPool | undefined {
    return this.subnets.find((pool) => pool.contains(address));
  }

  /**
   * Adds an allocation, or addresses of one, from the store: they join those
   * that its owner holds.
   */
  restore(part: Allocation): void {
    const rest = this.get(part.owner);
    this.#set(rest ? this.#join(rest, part) : part);
    for (const { address } of part.addresses) {
      this.poolOf(address)?.hold(address, part.owner);
    }
  }

  /** Applies a planned change. */
  apply(change: PoolChange): void {
    switch (change.kind) {
      case "hold":
        this.restore(change.allocation);
        for (const { address } of change.allocation.addresses) {
          this.poolOf(address)?.moveCursor(address);
        }
        break;
      case "renew":
        if (change.formerOwner) {
          this.#forget(change.formerOwner);
          this.restore(change.allocation);
        } else this.#set(change.allocation);
        break;
      case "release": {
        this.#forget(change.allocation.owner);
        for (const { address } of change.allocation.addresses) {
          this.poolOf(address)?.cool(address, change.releasedAtMs);
        }
        break;
      }
      case "thaw":
        this.poolOf(change.address)?.thaw(change.address);
        break;
      case "reserve":
        this.reserve(change.reservation);
        break;
      case "unreserve":
        this.#forgetReserved(change.address);
        this.poolOf(change.address)?.unreserve(change.address);
        break;
    }
  }

  /** Adds a reservation, in place of an earlier one of its address. */
  reserve(reservation: Reservation): void {
    const { address, owner } = reservation;
    const pool = this.poolOf(address);
    if (!pool) return;
    this.#forgetReserved(address);
    pool.reserve(reservation);
    if (!owner) return;
    const key = ownerKey(owner);
    const addresses = this.#reserved.get(key) ?? new Map<string, Address>();
    this.#reserved.set(key, addresses.set(formatAddress(address), address));
  }

  #forgetReserved(address: Address): void {
    const owner = this.poolOf(address)?.reservationOf(address)?.owner;
    if (!owner) return;
    const key = ownerKey(owner);
    const addresses = this.#reserved.get(key);
    addresses?.delete(formatAddress(address));
    if (addresses?.size === 0) this.#reserved.delete(key);
  }

  #set(allocation: Allocation): void {
    const key = ownerKey(allocation.owner);
    this.#allocations.set(key, allocation);
    const { attachment } = allocation;
    const isOther = this.#bootId !== undefined && attachment !== undefined &&
      attachment.bootId !== this.#bootId;
    if (isOther) this.#otherBoot.add(key);
    else this.#otherBoot.delete(key);
    if (allocation.ttlMs !== undefined) this.#mortal.set(key, allocation);
    else this.#mortal.delete(key);
  }

  /**
   * A function that takes a change back, to be asked for before the change is
   * applied. Changes are taken back from the last to the first.
   */
  reverter(change: PoolChange): () => void {
    switch (change.kind) {
      case "hold": {
        const { owner, addresses } = change.allocation;
        const before = addresses.map(({ address }) => {
          const pool = this.poolOf(address);
          const releasedAtMs = pool?.releasedAtMs(address);
          return { address, pool, cursor: pool?.cursor, releasedAtMs };
        });
        return () => {
          this.#forget(owner);
          for (const { address, pool, cursor, releasedAtMs } of before) {
            pool?.unhold(address, releasedAtMs);
            if (cursor) pool?.moveCursor(cursor);
          }
        };
      }
      case "renew":
      case "release": {
        const { owner } = change.allocation;
        const isRenamed = change.kind === "renew" && change.formerOwner;
        const held = this.get(isRenamed || owner);
        return () => {
          if (!held) return;
          this.#forget(owner);
          this.#forget(held.owner);
          this.restore(held);
        };
      }
      case "thaw":
      case "reserve":
      case "unreserve":
        throw new TypeError(`Cannot take back a change: it is ${change.kind}`);
    }
  }

  #forget(owner: Owner): void {
    const key = ownerKey(owner);
    this.#allocations.delete(key);
    this.#otherBoot.delete(key);
    this.#mortal.delete(key);
  }

  /** Joins the addresses of one owner, in the order of the subnets. */
  #join(a: Allocation, b: Allocation): Allocation {
    const order = ({ address }: AllocatedAddress) =>
      this.subnets.findIndex((pool) => pool === this.poolOf(address));
    const addresses = [...a.addresses, ...b.addresses]
      .sort((x, y) => order(x) - order(y));
    return { ...a, addresses };
  }
}
