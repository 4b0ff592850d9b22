import { NetError } from "../base/error.ts";
import { RateLimit, RATES } from "../base/rate_limit.ts";

/** The share of a lifetime in which one renewal is always possible. */
const LIFETIME_SHARE = 1 / 10;

/** A renewal, before it is looked at any further. */
export interface RenewalAttempt {
  /** Role and name. */
  readonly identity: string;
  /** The addresses and the generation of the authority. */
  readonly terms: string;
  /** Lifetime of its certificates, in ms. A short one allows more renewals. */
  readonly lifetimeMs: number;
}

/** Limits the renewals of each identity, so that none keeps the authority busy. */
export class RenewalLimit {
  readonly #usual: RateLimit;
  readonly #changed: RateLimit;
  /** The terms of the last renewal, by identity. */
  readonly #terms = new Map<string, string>();

  /** @param now the time in ms since 1970 */
  constructor(now: () => number) {
    this.#usual = new RateLimit(RATES.renewal, now);
    this.#changed = new RateLimit(RATES.changedRenewal, now);
  }

  /** Identities that it remembers. */
  get size(): number {
    return this.#terms.size;
  }

  /**
   * Counts a renewal.
   *
   * @throws {NetError} `unavailable` when there were too many
   */
  count({ identity, terms, lifetimeMs }: RenewalAttempt): void {
    const last = this.#terms.get(identity) ?? terms;
    const limit = last === terms ? this.#usual : this.#changed;
    const waitMs = limit.take(identity, lifetimeMs * LIFETIME_SHARE);
    if (waitMs !== undefined) {
      throw new NetError(
        "unavailable",
        `Cannot renew the certificate of ${identity}: it was renewed too often; try again in ${
          Math.ceil(waitMs / 1000)
        } s`,
      );
    }
    this.#terms.set(identity, terms);
    if (this.#terms.size <= this.#usual.size + this.#changed.size) return;
    for (const known of this.#terms.keys()) {
      if (this.#usual.has(known) || this.#changed.has(known)) continue;
      this.#terms.delete(known);
    }
  }
}
