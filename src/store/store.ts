/** A value that JSON can carry. Values are stored as JSON in UTF-8. */
export type JsonValue =
  | null
  | boolean
  | number
  | string
  | readonly JsonValue[]
  | { readonly [name: string]: JsonValue | undefined };

/**
 * A key: one or more parts, none of them empty. Numbers are safe integers from
 * 0. The store keeps parts apart whatever characters they contain:
 * `["a", "b"]`, `["a/b"]` and `["a\0b"]` are three keys.
 *
 * Order: part by part, strings by UTF-8 bytes before numbers by size; a key
 * comes before those that it is a prefix of.
 */
export type Key = readonly (string | number)[];

/**
 * The version of an entry. It is opaque, but of two versions of one store the
 * one that sorts later as text was written later.
 */
export type Version = string;

export interface Entry {
  readonly key: Key;
  readonly value: JsonValue;
  readonly version: Version;
}

/** A condition of a commit: the key has this version, or for null it does not exist. */
export interface Check {
  readonly key: Key;
  readonly version: Version | null;
}

/**
 * All of it happens or nothing. A commit puts or deletes a key at most once. It
 * does not put null, which in a change means a deletion.
 */
export interface Commit {
  readonly checks?: readonly Check[];
  readonly puts?: readonly { readonly key: Key; readonly value: JsonValue }[];
  readonly deletes?: readonly Key[];
}

/** The outcome of a commit. `committed: false`: a check failed, and nothing was written. */
export type CommitResult =
  | { readonly committed: true; readonly version: Version }
  | { readonly committed: false };

/** One change. A null value is a deletion. */
export interface Change {
  readonly key: Key;
  readonly value: JsonValue | null;
  readonly version: Version;
}

/**
 * An event of a watch. The first one is a snapshot. After a gap another snapshot
 * comes, and replaces everything known so far. Changes come in the order of
 * their commits, the changes of one commit together.
 */
export type WatchEvent =
  | { readonly kind: "snapshot"; readonly entries: readonly Entry[] }
  | { readonly kind: "changes"; readonly changes: readonly Change[] };

/** Options of a list. */
export interface ListOptions {
  /** Most entries. Default: all. */
  readonly limit?: number;
  /** From the last to the first. */
  readonly reverse?: boolean;
  /** Only entries behind this key in the direction of the list. */
  readonly after?: Key;
}

/** Options of a watch. */
export interface WatchOptions {
  /** Ends the watch, at once and without an error. */
  readonly signal: AbortSignal;
}

/** The limits of one commit. A larger one is refused with a RangeError. */
export interface StoreLimits {
  /** Puts and deletes together. */
  readonly maxMutations: number;
  /** Checks. */
  readonly maxChecks: number;
  /** Bytes of one value as JSON in UTF-8. */
  readonly maxValueBytes: number;
  /** Bytes of the keys of all puts together. */
  readonly maxPutKeyBytes: number;
  /** Bytes of all keys and values together. */
  readonly maxCommitBytes: number;
}

/**
 * The store of the state.
 *
 * A commit that has returned is durable, and every later read sees it. Commits
 * are serialized: each sees all those before it. Any number of calls may be in
 * flight.
 *
 * Every method throws a NetError: `unavailable` when the engine is out of
 * reach, full or closed (a failed commit has written nothing, unless the
 * message says that its outcome is not known), `failed_precondition` when the
 * data is damaged.
 */
export interface Store {
  /** Its URL, for people, without secrets. */
  readonly url: string;
  readonly limits: StoreLimits;
  /** Reads one entry, null when there is none. */
  get(key: Key): Promise<Entry | null>;
  /**
   * Reads the entries below a prefix in the order of their keys. An empty
   * prefix means all. It may miss entries that are written meanwhile; each
   * entry that it reads is whole.
   */
  list(prefix: Key, options?: ListOptions): AsyncIterable<Entry>;
  /** @throws {RangeError} when it exceeds the limits */
  commit(commit: Commit): Promise<CommitResult>;
  /**
   * Follows the entries below a prefix: a snapshot, then every change. A watcher
   * that does not read restarts from a snapshot, so that its backlog stays
   * bounded.
   */
  watch(prefix: Key, options: WatchOptions): AsyncIterable<WatchEvent>;
  /** Ends all watches and closes the engine. Closing again does nothing. */
  close(): Promise<void>;
}

/** Deletes every entry below a prefix, in commits as large as the store allows. */
export async function deleteAll(store: Store, prefix: Key): Promise<void> {
  const limit = Math.floor(store.limits.maxMutations / 2);
  while (true) {
    const deletes: Key[] = [];
    for await (const { key } of store.list(prefix, { limit })) {
      deletes.push(key);
    }
    if (deletes.length === 0) return;
    await store.commit({ deletes });
  }
}
