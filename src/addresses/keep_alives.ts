import type { Allocation } from "./plan/allocation.ts";
import { ownerKey } from "../base/names.ts";

/** Interval between two checks for expired allocations, in ms. */
export const EXPIRY_INTERVAL_MS = 1_000;

/** The most that counts of the time between two readings of the clock, in ms. */
const MAX_STEP_MS = 2 * EXPIRY_INTERVAL_MS;

/**
 * The time for which a process has been running, by a monotonic clock: pauses of
 * the process and of the machine do not count. Something has to read it every
 * {@linkcode EXPIRY_INTERVAL_MS}.
 */
export class RunningClock {
  readonly #uptimeMs: () => number;
  #readAtMs: number;
  #runningMs = 0;

  /** @param uptimeMs monotonic time, in ms */
  constructor(uptimeMs: () => number) {
    this.#uptimeMs = uptimeMs;
    this.#readAtMs = uptimeMs();
  }

  /** The running time in ms. */
  nowMs(): number {
    const uptimeMs = this.#uptimeMs();
    this.#runningMs += Math.min(uptimeMs - this.#readAtMs, MAX_STEP_MS);
    this.#readAtMs = uptimeMs;
    return this.#runningMs;
  }
}

/** The last sign of an allocation's caller. */
interface Sign {
  readonly id: string;
  readonly renewals: number;
  /** When, by the running time. */
  readonly atMs: number;
}

/**
 * The last sign of the caller of each allocation with a time to live: a
 * keep-alive, or the first time that this agent sees the allocation.
 *
 * Time is counted only while the agent runs: no change of the host's clock, no
 * restart and no pause of the process makes a time to live end early. After a
 * pause, signs that wait in a connection are read first.
 */
export class KeepAlives {
  readonly #nowMs: () => number;
  #signs = new Map<string, Sign>();

  /** @param nowMs the time for which this agent has been running, see {@linkcode RunningClock} */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Restarts the time to live of an allocation. */
  touch(allocation: Allocation): void {
    const { id, owner, renewals = 0 } = allocation;
    const atMs = this.#nowMs();
    this.#signs.set(ownerKey(owner), { id, renewals, atMs });
  }

  /** The time that is left to an allocation, in ms; undefined: there is no limit. */
  leftMs(allocation: Allocation): number | undefined {
    const { ttlMs } = allocation;
    if (ttlMs === undefined) return undefined;
    const sign = this.#signOf(allocation);
    return Math.max(0, ttlMs - (sign ? this.#nowMs() - sign.atMs : 0));
  }

  /** Whether the time to live of an allocation has ended. */
  hasEnded(allocation: Allocation): boolean {
    const { ttlMs } = allocation;
    const sign = this.#signOf(allocation);
    return ttlMs !== undefined && sign !== undefined &&
      this.#nowMs() - sign.atMs >= ttlMs;
  }

  /**
   * The allocations whose time to live has ended. Those that were not seen
   * before, or that another agent kept alive, start now.
   *
   * @param mortal all that have a time to live
   */
  ended(mortal: Iterable<Allocation>): Allocation[] {
    const ended: Allocation[] = [];
    const before = this.#signs;
    const kept = new Map<string, Sign>();
    for (const allocation of mortal) {
      if (!this.#signOf(allocation)) this.touch(allocation);
      const key = ownerKey(allocation.owner);
      kept.set(key, before.get(key)!);
      if (this.hasEnded(allocation)) ended.push(allocation);
    }
    this.#signs = kept;
    return ended;
  }

  #signOf({ owner, id, renewals = 0 }: Allocation): Sign | undefined {
    const sign = this.#signs.get(ownerKey(owner));
    return sign?.id === id && sign.renewals === renewals ? sign : undefined;
  }
}
