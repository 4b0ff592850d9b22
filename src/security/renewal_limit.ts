import { NetError } from "../base/error.ts";

/** Renewals of an identity at once, and the time after which one more is possible, in ms. */
const USUAL = { burst: 5, intervalMs: 60_000 };
/** The same for renewals with other addresses, or by another authority, than the last one. */
const CHANGED = { burst: 10, intervalMs: 10_000 };
/** The share of a lifetime in which one renewal is always possible. */
const LIFETIME_SHARE = 1 / 10;
/** Most identities that are remembered, when all are idle. */
const MAX_IDLE = 4_096;

/** A renewal, before it is looked at any further. */
export interface RenewalAttempt {
  /** Role and name. */
  readonly identity: string;
  /** The addresses and the generation of the authority. */
  readonly terms: string;
  /** Lifetime of its certificates, in ms. A short one allows more renewals. */
  readonly lifetimeMs: number;
}

/** A bucket of renewals. It fills up by one in each interval. */
interface Bucket {
  readonly left: number;
  readonly atMs: number;
}

interface Known {
  readonly terms: string;
  readonly usual: Bucket;
  readonly changed: Bucket;
}

/** Limits the renewals of each identity, so that none keeps the authority busy. */
export class RenewalLimit {
  readonly #now: () => number;
  readonly #known = new Map<string, Known>();

  /** @param now the time in ms since 1970 */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** How many identities are remembered. */
  get size(): number {
    return this.#known.size;
  }

  /**
   * Counts a renewal.
   *
   * @throws {NetError} `unavailable` when there were too many
   */
  count({ identity, terms, lifetimeMs }: RenewalAttempt): void {
    const nowMs = this.#now();
    const mostMs = lifetimeMs * LIFETIME_SHARE;
    const known = this.#known.get(identity) ?? {
      terms,
      usual: { left: USUAL.burst, atMs: nowMs },
      changed: { left: CHANGED.burst, atMs: nowMs },
    };
    const usual = fill(known.usual, { nowMs, mostMs, ...USUAL });
    const changed = fill(known.changed, { nowMs, mostMs, ...CHANGED });
    const isChanged = known.terms !== terms;
    const bucket = isChanged ? changed : usual;
    if (bucket.left < 1) {
      const { intervalMs } = isChanged ? CHANGED : USUAL;
      const waitMs = Math.min(intervalMs, mostMs);
      throw new NetError(
        "unavailable",
        `Cannot renew the certificate of ${identity}: it was renewed too often; try again in ${
          Math.ceil(waitMs / 1000)
        } s`,
      );
    }
    const used = { ...bucket, left: bucket.left - 1 };
    this.#known.delete(identity);
    this.#known.set(identity, {
      terms,
      usual: isChanged ? usual : used,
      changed: isChanged ? used : changed,
    });
    if (this.#known.size > MAX_IDLE) this.#forgetFull(nowMs);
  }

  #forgetFull(nowMs: number): void {
    for (const [identity, { usual, changed }] of this.#known) {
      const isFull = fill(usual, { nowMs, ...USUAL }).left === USUAL.burst &&
        fill(changed, { nowMs, ...CHANGED }).left === CHANGED.burst;
      if (isFull) this.#known.delete(identity);
    }
  }
}

function fill(
  { left, atMs }: Bucket,
  { nowMs, burst, mostMs = Infinity, ...usual }: typeof USUAL & {
    readonly nowMs: number;
    readonly mostMs?: number;
  },
): Bucket {
  const intervalMs = Math.min(usual.intervalMs, mostMs);
  const added = Math.max(0, Math.floor((nowMs - atMs) / intervalMs));
  return left + added >= burst
    ? { left: burst, atMs: nowMs }
    : { left: left + added, atMs: atMs + added * intervalMs };
}
