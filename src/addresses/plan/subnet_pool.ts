import type { Address } from "../../net/address.ts";
import { addressBits } from "../../net/address.ts";
import { lastAddress, type Prefix } from "../../net/prefix.ts";
import {
  addressAt,
  capacityOf,
  type UsableRange,
  usableRange,
} from "../../net/subnet.ts";
import type { Owner } from "./allocation.ts";
import { OffsetSet } from "../../net/offset_set.ts";

/**
 * The addresses of one subnet: which are held, which are cooling, and where the
 * search goes on. Ranges are never enumerated; each operation costs the same
 * whatever is held.
 */
export class SubnetPool {
  readonly subnet: Prefix;
  readonly #range: UsableRange;
  readonly #lastValue: bigint;
  readonly #holders = new Map<bigint, Owner>();
  /** Offset to the time of its release, in the order of release. */
  readonly #cooling = new Map<bigint, number>();
  /** The offsets that are held or cooling. */
  readonly #taken: OffsetSet;
  #cursor: bigint;

  /** @param cursor the address that was given last; the search starts behind it */
  constructor(subnet: Prefix, cursor?: Address) {
    this.subnet = subnet;
    this.#range = usableRange(subnet);
    this.#lastValue = lastAddress(subnet).value;
    this.#taken = new OffsetSet(addressBits(subnet.family) - subnet.length);
    this.#cursor = cursor
      ? cursor.value - subnet.value
      : this.#range.first - 1n;
  }

  /** Whether an address belongs to this subnet. */
  contains({ family, value }: Address): boolean {
    return family === this.subnet.family && value >= this.subnet.value &&
      value <= this.#lastValue;
  }

  /** How many addresses containers can get. */
  get capacity(): bigint {
    return capacityOf(this.subnet);
  }

  /** How many addresses are held. */
  get heldCount(): number {
    return this.#holders.size;
  }

  /** How many addresses are cooling. */
  get coolingCount(): number {
    return this.#cooling.size;
  }

  /** The address that was given last. */
  get cursor(): Address {
    return addressAt(this.subnet, this.#cursor);
  }

  /** Who holds an address of this subnet, undefined when nobody does. */
  holderOf(address: Address): Owner | undefined {
    return this.#holders.get(address.value - this.subnet.value);
  }

  /**
   * The next address to give: the next free one behind the last given, and
   * when there is none, the one that has cooled longest. Undefined when all
   * are held.
   */
  next(): Address | undefined {
    const { first, last } = this.#range;
    const offset = this.#taken.nextOut(this.#cursor + 1n, last) ??
      this.#taken.nextOut(first, last) ??
      this.#cooling.keys().next().value;
    return offset === undefined ? undefined : addressAt(this.subnet, offset);
  }

  /** Addresses that were released before a time, the longest ago first. */
  cooledBefore(timeMs: number, limit: number): Address[] {
    const cooled: Address[] = [];
    for (const [offset, releasedAtMs] of this.#cooling) {
      if (releasedAtMs > timeMs || cooled.length === limit) break;
      cooled.push(addressAt(this.subnet, offset));
    }
    return cooled;
  }

  /** Whether an address was released and is not free again yet. */
  isCooling(address: Address): boolean {
    return this.#cooling.has(address.value - this.subnet.value);
  }

  /** The smallest address behind another that is held, undefined at the end. */
  heldBehind(address: Address): Address | undefined {
    const { last } = this.#range;
    const from = address.value - this.subnet.value;
    let offset = from < 0n ? 0n : from;
    do {
      const next = this.#taken.nextIn(offset + 1n, last);
      if (next === undefined) return undefined;
      offset = next;
    } while (!this.#holders.has(offset));
    return addressAt(this.subnet, offset);
  }

  /** Gives an address to an owner. */
  hold(address: Address, owner: Owner): void {
    const offset = address.value - this.subnet.value;
    this.#holders.set(offset, owner);
    this.#cooling.delete(offset);
    this.#taken.add(offset);
  }

  /** Sets the address that was given last. */
  moveCursor(address: Address): void {
    this.#cursor = address.value - this.subnet.value;
  }

  /** Takes an address back: it cools from now on. */
  cool(address: Address, releasedAtMs: number): void {
    const offset = address.value - this.subnet.value;
    this.#holders.delete(offset);
    this.#taken.add(offset);
    this.#cooling.set(offset, releasedAtMs);
  }

  /** Ends the cooling of an address. */
  thaw(address: Address): void {
    const offset = address.value - this.subnet.value;
    if (this.#cooling.delete(offset)) this.#taken.delete(offset);
  }
}
