/** Number of actions that are possible at once, and the time after which one more is, in ms. */
export interface Rate {
  readonly burst: number;
  readonly intervalMs: number;
}

/** The limits of what one identity makes the registry do. */
export const RATES = {
  /** Renewals of a certificate. */
  renewal: { burst: 5, intervalMs: 60_000 },
  /** Renewals with other addresses, or by another authority, than the last one. */
  changedRenewal: { burst: 10, intervalMs: 10_000 },
  /** A node's own changes of the cluster: joins, claims and reports that change it. */
  nodeChange: { burst: 20, intervalMs: 5_000 },
} as const satisfies Readonly<Record<string, Rate>>;

/** Most keys that are remembered, when all are idle. */
const MAX_IDLE = 4_096;

/** The actions that a key has left. One comes back in each interval. */
interface Bucket {
  readonly left: number;
  readonly atMs: number;
}

/** Limits how often each of several identities does something. */
export class RateLimit {
  readonly #rate: Rate;
  readonly #now: () => number;
  readonly #buckets = new Map<string, Bucket>();

  /** @param now a time in ms */
  constructor(rate: Rate, now: () => number) {
    this.#rate = rate;
    this.#now = now;
  }

  /** Keys that it remembers. */
  get size(): number {
    return this.#buckets.size;
  }

  has(key: string): boolean {
    return this.#buckets.has(key);
  }

  /**
   * Counts an action if the limit allows it.
   *
   * @param mostMs longest interval for this key, in ms
   * @returns undefined, or the time after which it is possible, in ms
   */
  take(key: string, mostMs = Infinity): number | undefined {
    const nowMs = this.#now();
    const intervalMs = Math.min(this.#rate.intervalMs, mostMs);
    const { left, atMs } = this.#fill(key, { nowMs, intervalMs });
    if (left < 1) return atMs + intervalMs - nowMs;
    this.#buckets.set(key, { left: left - 1, atMs });
    if (this.#buckets.size > MAX_IDLE) this.#forgetFull(nowMs);
    return undefined;
  }

  #fill(
    key: string,
    { nowMs, intervalMs }: Pick<Rate, "intervalMs"> & {
      readonly nowMs: number;
    },
  ): Bucket {
    const { burst } = this.#rate;
    const { left, atMs } = this.#buckets.get(key) ??
      { left: burst, atMs: nowMs };
    const added = Math.max(0, Math.floor((nowMs - atMs) / intervalMs));
    return left + added >= burst
      ? { left: burst, atMs: nowMs }
      : { left: left + added, atMs: atMs + added * intervalMs };
  }

  #forgetFull(nowMs: number): void {
    const { burst, intervalMs } = this.#rate;
    for (const key of this.#buckets.keys()) {
      if (this.#fill(key, { nowMs, intervalMs }).left === burst) {
        this.#buckets.delete(key);
      }
    }
  }
}
