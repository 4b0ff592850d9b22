import type { Key, Store } from "../store/store.ts";

const PROBE_KEY: Key = ["agent", "probe"];
/** How long an answer counts, in ms: health checks may come from many. */
const KEEP_MS = 1_000;

/** Checks that a store takes writes by writing to it, at most once a second. */
export class WriteProbe {
  readonly #store: Store;
  readonly #now: () => number;
  #last: { readonly atMs: number; readonly done: Promise<void> } | undefined;

  /** @param now a time in ms that never goes back */
  constructor(store: Store, now: () => number) {
    this.#store = store;
    this.#now = now;
  }

  /** Returns when the store takes writes. @throws {NetError} `unavailable` when it does not */
  async check(): Promise<void> {
    const atMs = this.#now();
    if (this.#last === undefined || atMs - this.#last.atMs >= KEEP_MS) {
      this.#last = { atMs, done: this.#write(atMs) };
    }
    await this.#last.done;
  }

  async #write(value: number): Promise<void> {
    await this.#store.commit({ puts: [{ key: PROBE_KEY, value }] });
  }
}
