import { type Address, compareAddresses } from "../../net/address.ts";
import { containsAddress, type Prefix } from "../../net/prefix.ts";
import type { Reservation } from "./allocation.ts";

/** The state of an address that is not free. */
export type AddressState = "held" | "cooling" | "reserved" | "leaked";

/** An address with its state. */
export interface MarkedAddress {
  readonly address: Address;
  readonly state: AddressState;
}

/** Adjacent addresses with one state. */
export interface AddressRun {
  readonly first: Address;
  /** Equal to `first` for a single address. */
  readonly last: Address;
  readonly state: AddressState;
}

/** Joins marked addresses into runs. @param marked in order of address, each once */
export function joinRuns(marked: Iterable<MarkedAddress>): AddressRun[] {
  const runs: AddressRun[] = [];
  for (const { address, state } of marked) {
    const run = runs.at(-1);
    const isNext = run !== undefined && run.state === state &&
      run.last.family === address.family &&
      run.last.value + 1n === address.value;
    if (isNext) runs[runs.length - 1] = { ...run, last: address };
    else runs.push({ first: address, last: address, state });
  }
  return runs;
}

/** A period in which an address was held. */
export interface HeldPeriod {
  readonly address: Address;
  readonly allocatedAtMs: number;
  /** Absent while it is held. */
  readonly releasedAtMs?: number;
}

/**
 * The runs at an earlier moment: held addresses, those released less than the
 * cool-down before, and reservations that are as old.
 *
 * @param periods in no order
 */
export function planPastRuns(
  periods: Iterable<HeldPeriod>,
  reservations: Iterable<Reservation>,
  { atMs, coolDownMs, within }: {
    readonly atMs: number;
    readonly coolDownMs: number;
    /** Only addresses of these prefixes. */
    readonly within: readonly Prefix[];
  },
): AddressRun[] {
  const marks = new Map<bigint, MarkedAddress>();
  const mark = (address: Address, state: AddressState) => {
    const known = marks.get(address.value);
    // IPv4 and IPv6 networks share no value: those of IPv6 exceed 32 bits.
    if (known && RANK[known.state] >= RANK[state]) return;
    if (within.some((prefix) => containsAddress(prefix, address))) {
      marks.set(address.value, { address, state });
    }
  };
  for (const { address, allocatedAtMs, releasedAtMs = Infinity } of periods) {
    if (allocatedAtMs > atMs) continue;
    if (releasedAtMs > atMs) mark(address, "held");
    else if (releasedAtMs > atMs - coolDownMs) mark(address, "cooling");
  }
  for (const { address, reservedAtMs } of reservations) {
    if (reservedAtMs <= atMs) mark(address, "reserved");
  }
  return joinRuns(
    [...marks.values()]
      .sort((a, b) => compareAddresses(a.address, b.address)),
  );
}

/** The state that an address shows if several apply: the highest. */
const RANK: Readonly<Record<AddressState, number>> = {
  ...{ cooling: 0, reserved: 1, held: 2, leaked: 3 },
};
