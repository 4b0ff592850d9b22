import assert from "node:assert/strict";
import { isDeepStrictEqual } from "node:util";
import { NetError } from "../../src/base/error.ts";
import type { Entry, Key, Store } from "../../src/store/store.ts";
import { collect, Replica } from "../suite/store_suite_support.ts";
import { waitFor } from "./wait_for.ts";

const PREFIX = "claim";

/**
 * Writers that claim one key after the other, each claim known by its value,
 * and a watch that follows them; to find out what a fault has cost.
 */
export class StoreLoad implements Disposable {
  readonly #store: Store;
  readonly #stop = new AbortController();
  readonly #end = new AbortController();
  readonly #writing: Promise<unknown>;
  readonly #following: Promise<void>;
  readonly replica = new Replica();
  /** Claims by what became of them. */
  readonly committed: Key[] = [];
  readonly failed: Key[] = [];
  readonly unknown: Key[] = [];
  #claims = 0;

  constructor(store: Store, options: { readonly writers?: number } = {}) {
    this.#store = store;
    const { writers = 4 } = options;
    this.#following = this.#follow();
    this.#writing = Promise.all(
      Array.from({ length: writers }, () => this.#write()),
    );
    // What goes wrong is reported by `finish`.
    Promise.all([this.#following, this.#writing]).catch(() => {});
  }

  /** Waits until so many more claims were committed. */
  async progress(claims: number): Promise<void> {
    const goal = this.committed.length + claims;
    await waitFor(
      `${claims} commits`,
      () => this.committed.length >= goal,
    );
  }

  /**
   * Stops the writers, and asserts that all they were answered holds, and that
   * the watch has seen it.
   */
  async finish(): Promise<void> {
    this.#stop.abort();
    await this.#writing;
    // One whose outcome was not known may be carried out late.
    await waitFor("the watch", async () => {
      const seen = this.replica.entries();
      const present = await this.#entries();
      // An assertion would work out all differences, for minutes.
      if (isDeepStrictEqual(seen, present)) return true;
      throw new Error(`${seen.length} seen, and ${present.length} are present`);
    });
    this.#end.abort();
    await this.#following;
    const entries = await this.#entries();
    const present = new Set(entries.map(({ key }) => JSON.stringify(key)));
    const isThere = (key: Key) => present.has(JSON.stringify(key));
    assert.deepEqual(this.committed.filter((key) => !isThere(key)), []);
    assert.deepEqual(this.failed.filter(isThere), []);
    const made = this.committed.length + this.unknown.filter(isThere).length;
    assert.equal(entries.length, made);
  }

  #entries(): Promise<Entry[]> {
    return collect(this.#store.list([PREFIX]));
  }

  [Symbol.dispose](): void {
    this.#stop.abort();
    this.#end.abort();
  }

  async #write(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const key = [PREFIX, this.#claims++];
      try {
        const result = await this.#store.commit({
          checks: [{ key, version: null }],
          puts: [{ key, value: key }],
        });
        assert.ok(result.committed);
        this.committed.push(key);
      } catch (error) {
        assert.ok(error instanceof NetError, String(error));
        assert.equal(error.code, "unavailable", error.message);
        const isUnknown = /whether the commit was written is not known$/
          .test(error.message);
        (isUnknown ? this.unknown : this.failed).push(key);
      }
    }
  }

  async #follow(): Promise<void> {
    const { signal } = this.#end;
    for await (const event of this.#store.watch([PREFIX], { signal })) {
      this.replica.apply(event);
    }
  }
}
