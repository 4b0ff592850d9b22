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

/** Writes of a commit, and further checks of it. */
export interface Writes {
  readonly checks?: readonly Check[];
  readonly puts?: readonly { readonly key: Key; readonly value: JsonValue }[];
  readonly deletes?: readonly Key[];
}

/** The room that {@linkcode Batch.fits} leaves for the guard and the conditions of a ledger. */
const ROOM_FOR_CHECKS = 8;
const ROOM_FOR_GUARD_BYTES = 4_096;

/** The writes of one commit. The last of several writes to one key counts. */
export class Batch {
  readonly #limits: StoreLimits;
  readonly #writes = new Map<string, { key: Key; value?: JsonValue }>();
  readonly #checks: Check[] = [];
  /** Size of everything added, in bytes of JSON: never less than the commit. */
  #keyBytes = 0;
  #bytes = 0;

  constructor(limits: StoreLimits) {
    this.#limits = limits;
  }

  get isEmpty(): boolean {
    return this.#writes.size === 0;
  }

  /** Whether a commit with another check and put of the guard is within the limits. */
  get fits(): boolean {
    const { maxMutations, maxChecks, maxPutKeyBytes, maxCommitBytes } =
      this.#limits;
    return this.#writes.size < maxMutations &&
      this.#checks.length + ROOM_FOR_CHECKS <= maxChecks &&
      this.#keyBytes + ROOM_FOR_GUARD_BYTES <= maxPutKeyBytes &&
      this.#bytes + ROOM_FOR_GUARD_BYTES <= maxCommitBytes;
  }

  /** Size of everything added, in bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether a limit is more than half used. Until then another request fits. */
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

/** The commits that carry out packed changes, the last of which deletes the packed entries. */
export function* unpacking(
  writes: readonly Writes[],
  packed: Packed,
  limits: StoreLimits,
): Generator<Batch> {
  let batch = new Batch(limits);
  for (const each of writes) {
    batch.add(each);
    if (!batch.isFull) continue;
    yield batch;
    batch = new Batch(limits);
  }
  batch.add({ deletes: packed.map(({ key }) => key) });
  yield batch;
}

/** The rules of a ledger: its state in memory, and its records in the store. */
export interface LedgerModel<State, Change> {
  /** Key that every commit rewrites: its version shows writes by other processes. */
  readonly guard: Key;
  /** Further checks of every commit. When one fails, `load` throws the reason. */
  readonly conditions?: readonly Check[];
  guardValue(state: State): JsonValue;
  /** Reads the state. `version` is that of the guard, null when it does not exist. */
  load(store: Store): Promise<Loaded<State>>;
  /** The writes of a change. The ledger calls this before `apply`. */
  writes(state: State, change: Change): Writes;
  /** Changes the state in memory. Applying a change twice is the same as once. */
  apply(state: State, change: Change): void;
  /**
   * The change that undoes another; the ledger asks before it applies that one.
   * Without it, the ledger reads the state again after a conflict.
   */
  inverse?(state: State, change: Change): Change | undefined;
  /**
   * A function that takes a change back; the ledger asks before it applies the
   * change. Models whose changes are submitted all or nothing have it.
   */
  reverter?(state: State, change: Change): () => void;
  /**
   * The changes in few entries, for a commit that is too large otherwise. `load`
   * carries out what such entries say, and deletes them.
   */
  pack?(changes: readonly Change[]): Packed;
  /** Undoes the effect of {@linkcode LedgerModel.guardValue} on the state. */
  undoGuard?(state: State): void;
  /** Whether another process's commit directly follows the state. Default: yes. */
  isNext?(state: State, changes: readonly Change[]): boolean;
}

/** Entries that stand for changes until the changes' own writes are committed. */
export type Packed = readonly {
  readonly key: Key;
  readonly value: JsonValue;
}[];

/** A state, and the version of the guard at that state. */
export interface Loaded<State> {
  readonly state: State;
  version: Version | null;
}

/** A commit of another process to a ledger's store. */
export interface ForeignCommit<Change> {
  readonly version: Version;
  readonly changes: readonly Change[];
}

/** Default wait for the watch to report a commit before a follower reads everything, in ms. */
const ANNOUNCED_WITHIN_MS = 250;
/** Most reads of a state that changes during each read. */
const MAX_READS = 5;

/** Options of a ledger's state. */
export interface LedgerStateOptions {
  readonly store: Store;
  /**
   * Whether other processes write to the store as well. Then each use asks for
   * the version of the guard, and other processes' commits come through
   * {@linkcode LedgerState.receive} or by reading everything again.
   */
  readonly isShared: boolean;
  /**
   * How long a follower waits for the watch to report a commit before it reads
   * everything, in ms. Default 250.
   */
  readonly announcedWithinMs?: number;
}

/** A state in memory that stays as fresh as its store. */
export class LedgerState<State, Change> {
  readonly #model: LedgerModel<State, Change>;
  readonly #options: LedgerStateOptions;
  #loaded: Loaded<State> | undefined;
  /** Whether a watch reports the commits of other processes. */
  #isFollowed = false;
  #received = Promise.withResolvers<void>();
  /** Commits reported during a read, which may or may not include them. */
  #meanwhile: ForeignCommit<Change>[] | undefined;
  /** Number of times that the watch has missed commits. */
  #gaps = 0;
  /** The version at which a commit failed. If it is still the same, another check failed. */
  #doubted: Version | null = null;

  constructor(
    model: LedgerModel<State, Change>,
    options: LedgerStateOptions,
  ) {
    this.#model = model;
    this.#options = options;
  }

  /** The state, as fresh as the store. */
  async current(): Promise<Loaded<State>> {
    const { isShared, store } = this.#options;
    // Without a guard, nothing would show that the state is stale.
    if (!this.#loaded || this.#loaded.version === null) {
      return await this.#load();
    }
    if (!isShared) return this.#loaded;
    const before = this.#loaded.version;
    const version = (await store.get(this.#model.guard))?.version ?? null;
    // The version is lower after someone restored a backup.
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
   * Undoes the changes of a failed commit, or forgets the state where that is
   * not possible.
   *
   * @param undo the inverses, in the order of the changes
   */
  undo(state: State, undo: readonly (Change | undefined)[]): void {
    const changes = undo.filter((change) => change !== undefined);
    const isWhole = changes.length === undo.length;
    // In a store that is not shared, no watch reports the other write.
    if (!this.#options.isShared || !isWhole || !this.#model.undoGuard) {
      this.forget();
      return;
    }
    this.#model.undoGuard(state);
    for (const change of changes.toReversed()) this.#model.apply(state, change);
    this.#doubted = this.#loaded?.version ?? null;
  }

  /** Forgets the state, because it may differ from the store. */
  forget(): void {
    this.#loaded = undefined;
  }

  /**
   * Receives the commits of other processes one by one, in their order and
   * without a gap; undefined after a gap.
   */
  receive(commit: ForeignCommit<Change> | undefined): void {
    this.#isFollowed = true;
    if (commit) {
      this.#meanwhile?.push(commit);
      if (this.#loaded) this.#apply(this.#loaded, commit);
    } else {
      this.#gaps++;
      this.forget();
    }
    this.#received.resolve();
    this.#received = Promise.withResolvers();
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

  /** Waits a moment for the watch to report a version. */
  async #announced(version: Version | null): Promise<void> {
    const { announcedWithinMs = ANNOUNCED_WITHIN_MS } = this.#options;
    const untilMs = performance.now() + announcedWithinMs;
    const isBehind = () => {
      const has = this.#loaded?.version ?? null;
      return has !== null && version !== null && has < version;
    };
    while (isBehind()) {
      const leftMs = untilMs - performance.now();
      if (leftMs <= 0) return;
      await soonerOf(this.#received.promise, leftMs);
    }
  }

  /** Reads the state, and keeps it unless the watch missed a commit meanwhile. */
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

  /** Reads the state, again after a write during the read, a bounded number of times. */
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
 * Groups changes by commit, in order. Each commit has the changes that the model
 * knows and the version of the guard. Undefined when one did not write the guard.
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
