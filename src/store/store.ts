import { Buffer } from "node:buffer";
import { NetError } from "../base/error.ts";
import type {
  AgentMetrics,
  CommitOutcome,
  StoreKind,
} from "../base/agent_metrics.ts";

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

export interface ListOptions {
  /** Most entries. Default: all. */
  readonly limit?: number;
  /** From the last to the first. */
  readonly reverse?: boolean;
  /** Only entries behind this key in the direction of the list. */
  readonly after?: Key;
}

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

/**
 * Checks a key: see `Key`.
 *
 * It refuses lone surrogates, since engines store them all as U+FFFD, which
 * would make one key of two, and `-0`, which some engines tell apart from `0`.
 *
 * @throws {RangeError} naming the key and what is wrong with it
 */
export function checkKey(key: Key): void {
  if (key.length === 0) throw new RangeError("[] is not a key: it is empty");
  checkPrefix(key);
}

/** Checks a prefix: a key, or empty. @throws {RangeError} as `checkKey` */
export function checkPrefix(prefix: Key): void {
  for (const [index, part] of prefix.entries()) {
    const wrong = defectOf(part);
    if (wrong !== undefined) {
      throw new RangeError(
        `${formatKey(prefix)} is not a key: part ${index} ${wrong}`,
      );
    }
  }
}

/** Whether a key is longer than a prefix and begins with it. */
export function isBelow(prefix: Key, key: Key): boolean {
  return key.length > prefix.length &&
    prefix.every((part, index) => part === key[index]);
}

/** Orders keys as stores do: see `Key`. */
export function compareKeys(a: Key, b: Key): number {
  for (let i = 0; i < a.length && i < b.length; i++) {
    const order = compareParts(a[i]!, b[i]!);
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

/** The unique text of a key. */
export function keyText(key: Key): string {
  return JSON.stringify(key);
}

/** Formats a key for a message: as JSON, cut when it is long. */
export function formatKey(key: Key): string {
  const text = keyText(key);
  return text.length > 200 ? text.slice(0, 197) + "..." : text;
}

function defectOf(part: unknown): string | undefined {
  if (typeof part === "string") {
    if (part === "") return "is empty";
    return part.isWellFormed() ? undefined : "has a lone surrogate";
  }
  return Number.isSafeInteger(part) && (part as number) >= 0 &&
      !Object.is(part, -0)
    ? undefined
    : "is neither a text nor a safe integer from 0";
}

function compareParts(a: string | number, b: string | number): number {
  if (a === b) return 0;
  if (typeof a === "number") return typeof b === "number" ? a - b : 1;
  if (typeof b === "number") return -1;
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

// The checks of a commit that all adapters share. They throw a RangeError.

const encoder = new TextEncoder();

/** Checks the size of a commit, and that it writes no key twice. */
export function checkCommit(commit: Commit, limits: StoreLimits): void {
  const { checks = [], puts = [], deletes = [] } = commit;
  const { maxChecks, maxMutations } = limits;
  checkLimit("its checks", checks.length, maxChecks);
  checkLimit(
    "its puts and deletes",
    puts.length + deletes.length,
    maxMutations,
  );
  const seen = new Set<string>();
  for (const key of [...puts.map((put) => put.key), ...deletes]) {
    const text = keyText(key);
    if (seen.has(text)) {
      throw new RangeError(
        `Cannot commit: ${formatKey(key)} is put or deleted twice`,
      );
    }
    seen.add(text);
  }
}

/** Checks one size of a commit. @param what its name, in the plural */
export function checkLimit(what: string, actual: number, most: number): void {
  if (actual > most) {
    throw new RangeError(
      `Cannot commit: ${what} are ${actual}, the store takes ${most}`,
    );
  }
}

/** Encodes a value as JSON in UTF-8. */
export function encodeValue(
  { key, value }: { readonly key: Key; readonly value: JsonValue },
  maxBytes: number,
): Uint8Array<ArrayBuffer> {
  const text: string | undefined = JSON.stringify(value);
  if (value === null || text === undefined) {
    throw new RangeError(
      `Cannot put ${
        formatKey(key)
      }: the value is ${value}; delete the key instead`,
    );
  }
  const bytes = encoder.encode(text);
  if (bytes.length > maxBytes) {
    throw new RangeError(
      `Cannot put ${
        formatKey(key)
      }: the value has ${bytes.length} bytes, the store takes ${maxBytes}`,
    );
  }
  return bytes;
}

/** The error of a version that is not of this store. */
export function foreignVersion(key: Key, version: string): RangeError {
  return new RangeError(
    `Cannot check ${
      formatKey(key)
    }: "${version}" is not a version of this store`,
  );
}

export function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

/**
 * The store of a registry that several agents host. Its `failed_precondition`
 * errors become `unavailable`: when etcd refuses the credentials, the fault is
 * the store's, while a joining node would take `failed_precondition` as fencing.
 */
export function asRegistryStore(store: Store): Store {
  return {
    url: store.url,
    limits: store.limits,
    get: (key) => store.get(key).catch(rethrow),
    async *list(prefix, options) {
      try {
        yield* store.list(prefix, options);
      } catch (error) {
        rethrow(error);
      }
    },
    commit: (commit) => store.commit(commit).catch(rethrow),
    async *watch(prefix, options) {
      try {
        yield* store.watch(prefix, options);
      } catch (error) {
        rethrow(error);
      }
    },
    close: () => store.close(),
  };
}

function rethrow(error: unknown): never {
  if (error instanceof NetError && error.code === "failed_precondition") {
    throw new NetError("unavailable", error.message, { cause: error });
  }
  throw error;
}

/** The same store, with metrics of its commits. */
export function measureStore(
  store: Store,
  { metrics, kind }: {
    readonly metrics: AgentMetrics;
    readonly kind: StoreKind;
  },
): Store {
  return {
    url: store.url,
    limits: store.limits,
    get: (key) => store.get(key),
    list: (prefix, options) => store.list(prefix, options),
    watch: (prefix, options) => store.watch(prefix, options),
    close: () => store.close(),
    async commit(commit): Promise<CommitResult> {
      const { puts = [], deletes = [] } = commit;
      const size = {
        store: kind,
        mutations: puts.length + deletes.length,
        startedAtMs: metrics.clock(),
      };
      let outcome: CommitOutcome = "failed";
      try {
        const result = await store.commit(commit);
        outcome = result.committed ? "committed" : "conflict";
        return result;
      } finally {
        metrics.committed(outcome, size);
      }
    },
  };
}
