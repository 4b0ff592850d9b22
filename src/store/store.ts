/** A value that JSON can carry. Values are stored as JSON in UTF-8. */
export type JsonValue =
  | null
  | boolean
  | number
  | string
  | readonly JsonValue[]
  | { readonly [name: string]: JsonValue | undefined };

/**
 * A key: one or more parts, none of them empty. Numbers are safe integers that
 * are not negative. Parts are kept apart by the store whatever characters they
 * hold: `["a", "b"]`, `["a/b"]` and `["a\0b"]` are three keys.
 *
 * Order: part by part, strings by UTF-8 bytes before numbers by size; a key
 * comes before those that it is a prefix of.
 */
export type Key = readonly (string | number)[];

/**
 * The version of an entry: opaque, except that of two versions of one store
 * the one that sorts later as text was written later.
 */
export type Version = string;

/** What is stored under a key. */
export interface Entry {
  readonly key: Key;
  readonly value: JsonValue;
  readonly version: Version;
}

/** A condition of a commit: the key has this version, or with null does not exist. */
export interface Check {
  readonly key: Key;
  readonly version: Version | null;
}

/**
 * All of this happens or none of it. A key is put or deleted at most once. A
 * null is not put: in a change it means a deletion.
 */
export interface Commit {
  readonly checks?: readonly Check[];
  readonly puts?: readonly { readonly key: Key; readonly value: JsonValue }[];
  readonly deletes?: readonly Key[];
}

/** What became of a commit. `committed: false`: a check failed, nothing was written. */
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
 * What a watch yields. The first is always a snapshot; another comes after a
 * gap, and replaces all that was known, deletions included. Changes are in the
 * order of their commits, those of one commit together.
 */
export type WatchEvent =
  | { readonly kind: "snapshot"; readonly entries: readonly Entry[] }
  | { readonly kind: "changes"; readonly changes: readonly Change[] };

/** Options of a list. */
export interface ListOptions {
  /** At most so many entries; by default all. */
  readonly limit?: number;
  /** From the last to the first. */
  readonly reverse?: boolean;
  /** Only what comes behind this key in the direction of the list. */
  readonly after?: Key;
}

/** Options of a watch. */
export interface WatchOptions {
  /** Ends the watch, at once and without an error. */
  readonly signal: AbortSignal;
}

/** What one commit can hold. A larger one is refused with a RangeError. */
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
 * Where state is kept.
 *
 * A commit that returned is durable and seen by every read that starts after.
 * Commits are serialized: each sees all of those before it. Any number of calls
 * may be under way at once.
 *
 * Every method throws a NetError: `unavailable` when the engine is out of
 * reach, full or closed (after a failed commit nothing was written, unless the
 * message says that the outcome is not known), `failed_precondition` when the
 * data is damaged.
 */
export interface Store {
  /** Where the state is, for people: a URL without secrets. */
  readonly url: string;
  readonly limits: StoreLimits;
  /** Reads one entry, null when there is none. */
  get(key: Key): Promise<Entry | null>;
  /**
   * Reads the entries below a prefix in the order of their keys. An empty
   * prefix means all. Entries written meanwhile may be missed or seen; each
   * entry is whole.
   */
  list(prefix: Key, options?: ListOptions): AsyncIterable<Entry>;
  /** Writes. @throws {RangeError} when it is larger than the limits */
  commit(commit: Commit): Promise<CommitResult>;
  /**
   * Follows what is below a prefix: a snapshot, then every change, without
   * loss. A watcher that does not read gets a new snapshot in place of a
   * backlog without bounds.
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
