import { type ErrorCode, NetError } from "../../src/base/error.ts";
import type {
  Commit,
  CommitResult,
  Entry,
  Key,
  ListOptions,
  Store,
  WatchEvent,
  WatchOptions,
} from "../../src/store/store.ts";

/** What goes wrong with a commit. */
export type Fault = "refuse before" | "lose answer";

/**
 * A store whose commits fail on demand: before anything is written, or after
 * all of it is and the answer is lost. Everything else is the real store's.
 */
export class FaultyStore implements Store {
  readonly #store: Store;
  readonly #faults: (Fault | undefined)[] = [];
  /** Those of the real store, or tighter ones. */
  limits: Store["limits"];
  commits = 0;
  /** Whether it is out of reach: nothing is read or written. Watches go on. */
  isDown = false;
  /** With which code it fails then. */
  downCode: ErrorCode = "unavailable";
  /** Called before each commit. */
  beforeCommit: () => Promise<void> = () => Promise.resolve();
  /** Called before each list. */
  beforeList: () => Promise<void> = () => Promise.resolve();
  /** Called after each commit, before it is answered. */
  onCommit: () => void | Promise<void> = () => {};

  constructor(store: Store) {
    this.#store = store;
    this.limits = store.limits;
  }

  get url(): string {
    return this.#store.url;
  }

  /** Lets the next commits fail, one a fault. */
  fail(...faults: Fault[]): void {
    this.#faults.push(...faults);
  }

  /** Lets so many commits pass, and the one after them fail. */
  failAfter(count: number, fault: Fault): void {
    this.#faults.push(...Array<undefined>(count).fill(undefined), fault);
  }

  /** Lets no more commits fail. */
  mend(): void {
    this.#faults.length = 0;
  }

  async commit(commit: Commit): Promise<CommitResult> {
    this.#checkUp();
    this.commits++;
    const fault = this.#faults.shift();
    if (fault === "refuse before") {
      throw new NetError("unavailable", "disk full");
    }
    await this.beforeCommit();
    const result = await this.#store.commit(commit);
    await this.onCommit();
    if (fault === "lose answer") {
      throw new NetError("unavailable", "answer lost");
    }
    return result;
  }

  async get(key: Key): Promise<Entry | null> {
    this.#checkUp();
    return await this.#store.get(key);
  }

  async *list(prefix: Key, options?: ListOptions): AsyncGenerator<Entry> {
    this.#checkUp();
    await this.beforeList();
    yield* this.#store.list(prefix, options);
  }

  watch(prefix: Key, options: WatchOptions): AsyncIterable<WatchEvent> {
    return this.#store.watch(prefix, options);
  }

  close(): Promise<void> {
    return this.#store.close();
  }

  #checkUp(): void {
    if (this.isDown) throw new NetError(this.downCode, "out of reach");
  }
}
