import { getLogger } from "@logtape/logtape";
import { NetError } from "../base/error.ts";
import type { TrustRecord } from "./pki/authority.ts";
import { publicPart, trustedAt } from "./pki/generations.ts";
import type { RevocationRecord } from "./pki/revocation.ts";
import type { Entry, Store } from "../store/store.ts";
import { readTrustEntry, TRUST_PREFIX } from "../state/identity_records.ts";
import type { Trust } from "./trust.ts";

/** Time to the next watch after one that failed, in ms. */
const REWATCH_MS = 500;

const log = getLogger(["stellar-net", "identity"]);

/** Knows what others are checked with, as the store has it, and tells when that changes. */
export class TrustFollower {
  readonly #store: Store;
  readonly #now: () => number;
  readonly #listeners = new Set<(trust: Trust) => void>();
  readonly #stop = new AbortController();
  #authorities: readonly TrustRecord[] = [];
  #revocations: readonly RevocationRecord[] = [];
  #refreshing: Promise<void> = Promise.resolve();
  #following: Promise<void> = Promise.resolve();

  /** @param now the time in ms since 1970 */
  constructor(store: Store, now: () => number) {
    this.#store = store;
    this.#now = now;
  }

  /** As it was read last, without what has ended. */
  get known(): Trust {
    const nowMs = this.#now();
    return {
      authorities: trustedAt(this.#authorities, nowMs),
      revocations: this.#revocations.filter(({ untilMs }) => nowMs < untilMs),
    };
  }

  /** Calls back after each change. @returns what ends that */
  onChange(listener: (trust: Trust) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Reads it from the store; what was committed before is in it. @throws {NetError} as the store does */
  refresh(): Promise<void> {
    const refresh = this.#refreshing.then(async () => {
      const entries: Entry[] = [];
      for await (const entry of this.#store.list(TRUST_PREFIX)) {
        entries.push(entry);
      }
      this.#take(entries);
    });
    this.#refreshing = refresh.catch(() => {});
    return refresh;
  }

  /** As {@linkcode TrustFollower.refresh}; where that fails, another one brings it. */
  async tryRefresh(): Promise<void> {
    try {
      await this.refresh();
    } catch (error) {
      if (!(error instanceof NetError)) throw error;
      log.warn("Cannot read what is trusted, trying again later: {error}", {
        error,
      });
    }
  }

  /** Begins to follow what others change in the store. */
  start(): void {
    this.#following = this.#follow();
  }

  /** Stops following. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#following;
  }

  async #follow(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        for await (const _ of this.#store.watch(TRUST_PREFIX, { signal })) {
          await this.refresh();
        }
      } catch (error) {
        if (!(error instanceof NetError)) throw error;
        log.debug("Watching identities again: {error}", { error });
      }
      await new Promise<void>((resolve) => {
        if (signal.aborted) return resolve();
        const end = () => {
          clearTimeout(timer);
          signal.removeEventListener("abort", end);
          resolve();
        };
        const timer = setTimeout(end, REWATCH_MS);
        signal.addEventListener("abort", end);
      });
    }
  }

  #take(entries: readonly Entry[]): void {
    const before = JSON.stringify([this.#authorities, this.#revocations]);
    const read = entries.map(readTrustEntry);
    this.#authorities = read.flatMap((record) =>
      "authority" in record ? publicPart(record.authority) : []
    );
    this.#revocations = read.flatMap((record) =>
      "revocation" in record ? record.revocation : []
    );
    const after = JSON.stringify([this.#authorities, this.#revocations]);
    if (before === after) return;
    for (const listener of this.#listeners) listener(this.known);
  }
}
