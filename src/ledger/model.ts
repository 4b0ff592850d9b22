import type {
  Change as StoreChange,
  Check,
  Commit,
  JsonValue,
  Key,
  Store,
  StoreLimits,
  Version,
} from "../store/store.ts";

/** Writes of a commit, and what else has to hold for it. */
export interface Writes {
  readonly checks?: readonly Check[];
  readonly puts?: readonly { readonly key: Key; readonly value: JsonValue }[];
  readonly deletes?: readonly Key[];
}

/** The writes of one commit: of several to one key, the last. */
export class Batch {
  readonly #limits: StoreLimits;
  readonly #writes = new Map<string, { key: Key; value?: JsonValue }>();
  readonly #checks: Check[] = [];
  /** What was added, in bytes of JSON: never less than what is committed. */
  #keyBytes = 0;
  #bytes = 0;

  constructor(limits: StoreLimits) {
    this.#limits = limits;
  }

  get isEmpty(): boolean {
    return this.#writes.size === 0;
  }

  /** Whether a limit is half used: until then another request fits. */
  get isFull(): boolean {
    const { maxMutations, maxChecks, maxPutKeyBytes, maxCommitBytes } =
      this.#limits;
    return this.#writes.size > maxMutations / 2 ||
      this.#checks.length > maxChecks / 2 ||
      this.#keyBytes > maxPutKeyBytes / 2 ||
      this.#bytes > maxCommitBytes / 2;
  }

  add(writes: Writes): void {
    this.#checks.push(...writes.checks ?? []);
    for (const key of writes.deletes ?? []) this.#write({ key });
    for (const put of writes.puts ?? []) this.#write(put);
  }

  commit(): Commit {
    const puts: { key: Key; value: JsonValue }[] = [];
    const deletes: Key[] = [];
    for (const { key, value } of this.#writes.values()) {
      if (value === undefined) deletes.push(key);
      else puts.push({ key, value });
    }
    return { checks: this.#checks, puts, deletes };
  }

  #write(write: { key: Key; value?: JsonValue }): void {
    const key = JSON.stringify(write.key);
    this.#writes.set(key, write);
    this.#keyBytes += key.length;
    this.#bytes += key.length + (JSON.stringify(write.value)?.length ?? 0);
  }
}

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
  /** Carries a change out in memory. What it makes of the state it makes of it again. */
  apply(state: State, change: Change): void;
  /**
   * The change that takes another back, asked for before that is carried out.
   * Undefined, or without it: after a conflict the state is read anew.
   */
  inverse?(state: State, change: Change): Change | undefined;
  /** Takes back what {@linkcode LedgerModel.guardValue} did to the state. */
  takeBackGuard?(state: State): void;
  /** Whether a commit of others comes right behind a state, none between. Default: it does. */
  isNext?(state: State, changes: readonly Change[]): boolean;
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
  /** What is told of while the state is read: it may have been written before or after. */
  #meanwhile: ForeignCommit<Change>[] | undefined;
  /** How often all may have been different. */
  #gaps = 0;
  /** A version with which a commit failed. If it is still that, the guard was not why. */
  #doubted: Version | null = null;

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
      return await this.#load();
    }
    if (!isShared) return this.#loaded;
    const before = this.#loaded.version;
    const version = (await store.get(this.#model.guard))?.version ?? null;
    // As after a backup was restored.
    if (version === null || version < before || version === this.#doubted) {
      return await this.#load();
    }
    if (this.#isFollowed) await this.#announced(version);
    const loaded = this.#loaded;
    const isFresh = loaded && loaded.version !== null &&
      loaded.version >= version;
    return isFresh ? loaded : await this.#load();
  }

  /**
   * Takes back what a commit has failed with, so that the state is what it was
   * before; where that cannot be, forgets it.
   *
   * @param undo the inverses, in the order of the changes
   */
  takeBack(state: State, undo: readonly (Change | undefined)[]): void {
    const changes = undo.filter((change) => change !== undefined);
    const isWhole = changes.length === undo.length;
    // Where nobody else should write, nothing tells what was written.
    if (!this.#options.isShared || !isWhole || !this.#model.takeBackGuard) {
      this.forget();
      return;
    }
    this.#model.takeBackGuard(state);
    for (const change of changes.toReversed()) this.#model.apply(state, change);
    this.#doubted = this.#loaded?.version ?? null;
  }

  /** Forgets the state: it is not known how it stands to the store. */
  forget(): void {
    this.#loaded = undefined;
  }

  /**
   * Takes in what others have committed, commit by commit in their order and
   * without a gap; undefined when all may be different.
   */
  takeIn(commit: ForeignCommit<Change> | undefined): void {
    this.#isFollowed = true;
    if (commit) {
      this.#meanwhile?.push(commit);
      if (this.#loaded) this.#apply(this.#loaded, commit);
    } else {
      this.#gaps++;
      this.forget();
    }
    this.#news.resolve();
    this.#news = Promise.withResolvers();
  }

  #apply(
    loaded: Loaded<State>,
    { version, changes }: ForeignCommit<Change>,
  ): void {
    if (loaded.version === null) return;
    if (loaded.version >= version) return;
    if (this.#model.isNext?.(loaded.state, changes) === false) {
      this.#gaps++;
      this.forget();
      return;
    }
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

  /** Reads the state, and keeps it unless something was missed meanwhile. */
  async #load(): Promise<Loaded<State>> {
    this.forget();
    this.#doubted = null;
    const gaps = this.#gaps;
    try {
      const loaded = await this.#read();
      for (const commit of this.#meanwhile ?? []) this.#apply(loaded, commit);
      if (gaps === this.#gaps) this.#loaded = loaded;
      return loaded;
    } finally {
      this.#meanwhile = undefined;
    }
  }

  /** Reads the state: once more where somebody writes to it meanwhile, a bounded number of times. */
  async #read(): Promise<Loaded<State>> {
    const { store, isShared } = this.#options;
    for (let reads = 1;; reads++) {
      this.#meanwhile = [];
      const loaded = await this.#model.load(store);
      if (!isShared || reads === MAX_READS) return loaded;
      const guard = await store.get(this.#model.guard);
      if ((guard?.version ?? null) === loaded.version) return loaded;
    }
  }
}

/**
 * The commits that changes were made by, in their order: of each what the model
 * knows, and the version of the guard. Undefined when one did not write that.
 */
export function readForeignCommits<Change>(
  guard: Key,
  changes: readonly StoreChange[],
  read: (change: StoreChange) => Change | undefined,
): ForeignCommit<Change>[] | undefined {
  const key = JSON.stringify(guard);
  const commits: ForeignCommit<Change>[] = [];
  for (const [version, made] of byVersion(changes)) {
    if (!made.some((change) => JSON.stringify(change.key) === key)) {
      return undefined;
    }
    commits.push({
      version,
      changes: made.flatMap((change) => read(change) ?? []),
    });
  }
  return commits;
}

function byVersion(
  changes: readonly StoreChange[],
): Map<Version, StoreChange[]> {
  const commits = new Map<Version, StoreChange[]>();
  for (const change of changes) {
    const made = commits.get(change.version) ?? [];
    made.push(change);
    commits.set(change.version, made);
  }
  return commits;
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
