import type { Address } from "../../net/address.ts";
import {
  type AllocatedAddress,
  type Allocation,
  type Owner,
  ownerKey,
} from "./allocation.ts";
import type { SubnetPool } from "./subnet_pool.ts";

/** A change of a node's addresses. */
export type PoolChange =
  | { readonly kind: "hold"; readonly allocation: Allocation }
  | {
    readonly kind: "release";
    readonly allocation: Allocation;
    readonly releasedAtMs: number;
    /** Why, for the history. */
    readonly reason: string;
  }
  | { readonly kind: "thaw"; readonly address: Address };

/** All addresses of one node: a pool for each of its subnets, and who holds what. */
export class NodePool {
  readonly subnets: readonly SubnetPool[];
  readonly #allocations = new Map<string, Allocation>();

  /** @param subnets one of each network, in the order of the networks */
  constructor(subnets: readonly SubnetPool[]) {
    this.subnets = subnets;
  }

  /** How many owners hold something. */
  get size(): number {
    return this.#allocations.size;
  }

  /** What an owner holds, undefined when it holds nothing. */
  get(owner: Owner): Allocation | undefined {
    return this.#allocations.get(ownerKey(owner));
  }

  /**
   * What is held, in order of address in the first network, from behind an
   * address on. A page costs what is in it, not what is held.
   */
  *allocations(behind?: Address): Generator<Allocation> {
    const pool = this.subnets[0];
    if (!pool) return;
    let address: Address | undefined = behind ?? pool.subnet;
    while ((address = pool.heldBehind(address))) {
      const allocation = this.get(pool.holderOf(address)!);
      if (allocation) yield allocation;
    }
  }

  /** What is held, in no order. */
  values(): IteratorObject<Allocation> {
    return this.#allocations.values();
  }

  /** The pool that an address belongs to, undefined when it is in none. */
  poolOf(address: Address): SubnetPool | undefined {
    return this.subnets.find((pool) => pool.contains(address));
  }

  /**
   * Takes in an allocation, or addresses of one, that were read from the store:
   * they join those that its owner holds.
   */
  restore(part: Allocation): void {
    const key = ownerKey(part.owner);
    const rest = this.#allocations.get(key);
    this.#allocations.set(key, rest ? this.#join(rest, part) : part);
    for (const { address } of part.addresses) {
      this.poolOf(address)?.hold(address, part.owner);
    }
  }

  /** Carries a planned change out. */
  apply(change: PoolChange): void {
    switch (change.kind) {
      case "hold":
        this.restore(change.allocation);
        for (const { address } of change.allocation.addresses) {
          this.poolOf(address)?.moveCursor(address);
        }
        break;
      case "release":
        this.#allocations.delete(ownerKey(change.allocation.owner));
        for (const { address } of change.allocation.addresses) {
          this.poolOf(address)?.cool(address, change.releasedAtMs);
        }
        break;
      case "thaw":
        this.poolOf(change.address)?.thaw(change.address);
        break;
    }
  }
  /** Puts the addresses of one owner together, in the order of the subnets. */
  #join(a: Allocation, b: Allocation): Allocation {
    const order = ({ address }: AllocatedAddress) =>
      this.subnets.findIndex((pool) => pool === this.poolOf(address));
    const addresses = [...a.addresses, ...b.addresses]
      .sort((x, y) => order(x) - order(y));
    return { ...a, addresses };
  }
}
