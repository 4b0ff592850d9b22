import type { Check, JsonValue, Key, Store, Version } from "../store/store.ts";
import type { Change as StoreChange } from "../store/store.ts";
import type { Writes } from "./batch.ts";

/** How the state of a ledger is kept: in memory, and in the store. */
export interface LedgerModel<State, Change> {
  /** Key that every commit rewrites: its version tells whether others wrote. */
  readonly guard: Key;
  /** What every commit checks besides. When it does not hold, `load` says why. */
  readonly conditions?: readonly Check[];
  /** The value of the guard. */
  guardValue(state: State): JsonValue;
  /** Reads the state. `version` is the guard's, null when it does not exist. */
  load(store: Store): Promise<Loaded<State>>;
  /** The writes of a change; called before it is applied. */
  writes(state: State, change: Change): Writes;
  /** Carries a change out in memory. */
  apply(state: State, change: Change): void;
}

/** A state, and the version of the guard that it goes with. */
export interface Loaded<State> {
  readonly state: State;
  version: Version | null;
}

/** What somebody else has committed to a ledger's store. */
export interface ForeignCommit<Change> {
  readonly version: Version;
  readonly changes: readonly Change[];
}

/** How long it is waited for a commit of others to be announced, before all is read. */
const ANNOUNCED_WITHIN_MS = 250;
/** How often a state that changes while it is read is read again. */
const MAX_READS = 5;

/** Options of a ledger's state. */
export interface LedgerStateOptions {
  readonly store: Store;
  /**
   * Whether others write to it as well. Then each look at it asks for the
   * guard's version, and what they write is to be told of by
   * {@linkcode LedgerState.takeIn}, or is read anew.
   */
  readonly isShared: boolean;
}

/** A state in memory that is read from a store, and stays as fresh as that. */
export class LedgerState<State, Change> {
  readonly #model: LedgerModel<State, Change>;
  readonly #options: LedgerStateOptions;
  #loaded: Loaded<State> | undefined;
  /** Whether commits of others are told of. */
  #isFollowed = false;
  #news = Promise.withResolvers<void>();

  constructor(
    model: LedgerModel<State, Change>,
    options: LedgerStateOptions,
  ) {
    this.#model = model;
    this.#options = options;
  }

  /** The state as it is in the store. */
  async current(): Promise<Loaded<State>> {
    const { isShared, store } = this.#options;
    // Without a guard nothing is known that could go stale unnoticed.
    if (!this.#loaded || this.#loaded.version === null) {
      return this.#loaded = await this.#load();
    }
    if (!isShared) return this.#loaded;
    const version = (await store.get(this.#model.guard))?.version ?? null;
    if (this.#isFollowed) await this.#announced(version);
    if (this.#loaded?.version !== version) this.#loaded = await this.#load();
    return this.#loaded;
  }

  /** Forgets the state: it is not known how it stands to the store. */
  forget(): void {
    this.#loaded = undefined;
  }

  /** Takes in what others have committed; undefined when all may be different. */
  takeIn(commit: ForeignCommit<Change> | undefined): void {
    this.#isFollowed = true;
    if (commit) this.#apply(commit);
    else this.forget();
    this.#news.resolve();
    this.#news = Promise.withResolvers();
  }

  #apply({ version, changes }: ForeignCommit<Change>): void {
    const loaded = this.#loaded;
    if (!loaded || loaded.version !== null && loaded.version >= version) return;
    for (const change of changes) this.#model.apply(loaded.state, change);
    loaded.version = version;
  }

  /** Waits a moment for a version that is in the store to be told of. */
  async #announced(version: Version | null): Promise<void> {
    const untilMs = performance.now() + ANNOUNCED_WITHIN_MS;
    const isBehind = () => {
      const has = this.#loaded?.version ?? null;
      return has !== null && version !== null && has < version;
    };
    while (isBehind()) {
      const leftMs = untilMs - performance.now();
      if (leftMs <= 0) return;
      await soonerOf(this.#news.promise, leftMs);
    }
  }

  async #load(): Promise<Loaded<State>> {
    const { store, isShared } = this.#options;
    let loaded = await this.#model.load(store);
    for (let reads = 1; isShared && reads < MAX_READS; reads++) {
      const guard = await store.get(this.#model.guard);
      if ((guard?.version ?? null) === loaded.version) break;
      loaded = await this.#model.load(store);
    }
    return loaded;
  }
}

/** The changes of a commit that the model knows, and the version of its guard. */
export function readForeignCommit<Change>(
  guard: Key,
  changes: readonly StoreChange[],
  read: (change: StoreChange) => Change | undefined,
): ForeignCommit<Change> | undefined {
  const key = JSON.stringify(guard);
  const own = changes.find((change) => JSON.stringify(change.key) === key);
  return own && {
    version: own.version,
    changes: changes.flatMap((change) => read(change) ?? []),
  };
}

function soonerOf(work: Promise<void>, ms: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    void work.then(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}
