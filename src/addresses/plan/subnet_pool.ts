import { type Address, addressBits } from "../../net/address.ts";
import type { Owner } from "../../base/names.ts";
import { OffsetSet } from "../../net/offset_set.ts";
import {
  addressAt,
  capacityOf,
  lastAddress,
  type Prefix,
  type UsableRange,
  usableRange,
} from "../../net/prefix.ts";
import type { MarkedAddress } from "./address_runs.ts";
import type { Reservation } from "./allocation.ts";

/** The use of a subnet. */
export interface SubnetUsage {
  readonly subnet: Prefix;
  readonly capacity: bigint;
  readonly held: number;
  readonly cooling: number;
  /** Reserved and not held. */
  readonly reserved: number;
}

/**
 * The addresses of one subnet: the held, cooling and reserved ones, and the
 * place where the search continues. No operation enumerates a range, and each
 * costs the same however many addresses are held.
 */
export class SubnetPool {
  readonly subnet: Prefix;
  readonly #range: UsableRange;
  readonly #lastValue: bigint;
  readonly #holders = new Map<bigint, Owner>();
  /** Offset to the time of its release, in the order of release. */
  readonly #cooling = new Map<bigint, number>();
  readonly #reserved = new Map<bigint, Reservation>();
  /** The offsets that are held, cooling or reserved. */
  readonly #taken: OffsetSet;
  #cursor: bigint;

  /** @param cursor the address given out last; the search starts behind it */
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

  /** Number of addresses that containers can get. */
  get capacity(): bigint {
    return capacityOf(this.subnet);
  }

  /** Number of held addresses. */
  get heldCount(): number {
    return this.#holders.size;
  }

  /** Number of cooling addresses. */
  get coolingCount(): number {
    return this.#cooling.size;
  }

  /** Number of addresses that are reserved and not held. */
  get reservedCount(): number {
    return this.#reserved.keys().filter((o) => !this.#holders.has(o)).toArray()
      .length;
  }

  /** The use of this subnet. */
  get usage(): SubnetUsage {
    return {
      subnet: this.subnet,
      capacity: this.capacity,
      held: this.heldCount,
      cooling: this.coolingCount,
      reserved: this.reservedCount,
    };
  }

  /** The address given out last. */
  get cursor(): Address {
    return addressAt(this.subnet, this.#cursor);
  }

  /** The reservation of an address, undefined when there is none. */
  reservationOf(address: Address): Reservation | undefined {
    return this.#reserved.get(address.value - this.subnet.value);
  }

  /** The reservations, in no order. */
  get reservations(): IteratorObject<Reservation> {
    return this.#reserved.values();
  }

  /** The holder of an address of this subnet, undefined when there is none. */
  holderOf(address: Address): Owner | undefined {
    return this.#holders.get(address.value - this.subnet.value);
  }

  /**
   * The next address to give out: the next free one behind the last one, and
   * when there is none, the one that has cooled longest. Undefined when all are
   * held or reserved.
   *
   * @param isAvoided excludes addresses
   */
  next(
    isAvoided: (address: Address) => boolean = () => false,
  ): Address | undefined {
    const { first, last } = this.#range;
    for (const start of [this.#cursor + 1n, first]) {
      let offset = this.#taken.nextOut(start, last);
      while (offset !== undefined) {
        const address = addressAt(this.subnet, offset);
        if (!isAvoided(address)) return address;
        offset = this.#taken.nextOut(offset + 1n, last);
      }
    }
    for (const offset of this.#cooling.keys()) {
      if (this.#reserved.has(offset)) continue;
      const address = addressAt(this.subnet, offset);
      if (!isAvoided(address)) return address;
    }
    return undefined;
  }

  /** The addresses released before a time, the longest ago first. */
  cooledBefore(timeMs: number, limit: number): Address[] {
    const cooled: Address[] = [];
    for (const [offset, releasedAtMs] of this.#cooling) {
      if (releasedAtMs > timeMs || cooled.length === limit) break;
      cooled.push(addressAt(this.subnet, offset));
    }
    return cooled;
  }

  /** Whether a released address is not free again. */
  isCooling(address: Address): boolean {
    return this.#cooling.has(address.value - this.subnet.value);
  }

  /** When a cooling address was released, in ms since 1970; undefined: it does not cool. */
  releasedAtMs(address: Address): number | undefined {
    return this.#cooling.get(address.value - this.subnet.value);
  }

  /** The smallest held address behind another, undefined at the end. */
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

  /**
   * The addresses of a part of this subnet that are not free, in order. The cost
   * depends only on their number.
   *
   * @param isLeaked whether an owner's allocation seems to be leaked
   */
  *marked(
    part: Prefix,
    isLeaked: (owner: Owner) => boolean,
  ): Generator<MarkedAddress> {
    const end = lastAddress(part).value;
    const last = (end < this.#lastValue ? end : this.#lastValue) -
      this.subnet.value;
    const from = part.value - this.subnet.value;
    let offset = this.#taken.nextIn(from < 0n ? 0n : from, last);
    while (offset !== undefined) {
      const holder = this.#holders.get(offset);
      yield {
        address: addressAt(this.subnet, offset),
        state: holder
          ? isLeaked(holder) ? "leaked" : "held"
          : this.#reserved.has(offset)
          ? "reserved"
          : "cooling",
      };
      offset = this.#taken.nextIn(offset + 1n, last);
    }
  }

  /** Gives an address to an owner. */
  hold(address: Address, owner: Owner): void {
    const offset = address.value - this.subnet.value;
    this.#holders.set(offset, owner);
    this.#cooling.delete(offset);
    this.#taken.add(offset);
  }

  /**
   * Takes an address from its holder as if it had never had it.
   *
   * @param releasedAtMs since when it cooled then; undefined: it did not
   */
  unhold(address: Address, releasedAtMs: number | undefined): void {
    const offset = address.value - this.subnet.value;
    this.#holders.delete(offset);
    if (releasedAtMs === undefined) {
      this.#untake(offset);
      return;
    }
    // In the order of release.
    const cooling = [...this.#cooling];
    const later = cooling.findIndex(([, atMs]) => atMs > releasedAtMs);
    cooling.splice(later === -1 ? cooling.length : later, 0, [
      offset,
      releasedAtMs,
    ]);
    this.#cooling.clear();
    for (const [key, atMs] of cooling) this.#cooling.set(key, atMs);
  }

  /** Sets the address given out last. */
  moveCursor(address: Address): void {
    this.#cursor = address.value - this.subnet.value;
  }

  /** Releases an address, which starts to cool. */
  cool(address: Address, releasedAtMs: number): void {
    const offset = address.value - this.subnet.value;
    this.#holders.delete(offset);
    this.#taken.add(offset);
    this.#cooling.set(offset, releasedAtMs);
  }

  /** Ends the cooling of an address. */
  thaw(address: Address): void {
    const offset = address.value - this.subnet.value;
    if (this.#cooling.delete(offset)) this.#untake(offset);
  }

  /** Keeps an address from all but the owner of the reservation. */
  reserve(reservation: Reservation): void {
    const offset = reservation.address.value - this.subnet.value;
    this.#reserved.set(offset, reservation);
    this.#taken.add(offset);
  }

  /** Ends the reservation of an address. */
  unreserve(address: Address): void {
    const offset = address.value - this.subnet.value;
    if (this.#reserved.delete(offset)) this.#untake(offset);
  }

  #untake(offset: bigint): void {
    const isTaken = this.#holders.has(offset) || this.#cooling.has(offset) ||
      this.#reserved.has(offset);
    if (!isTaken) this.#taken.delete(offset);
  }
}
