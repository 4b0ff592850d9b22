import { resolve } from "node:path";
import { NetError } from "../../base/error.ts";
import { ChangeFeed } from "../change_feed.ts";
import {
  changesOf,
  checkEnginePrefix,
  decodeEntry,
  DENO_KV_LIMITS,
  encodeCommit,
  type EncodedCommit,
  keyBytes,
} from "./codec.ts";
import { isOutcomeUnknown, toStoreError } from "./error.ts";
import { holdFile, refuseHalfRestored, refuseLinks } from "./file_lock.ts";
import {
  type Commit,
  type CommitResult,
  compareKeys,
  type Entry,
  isBelow,
  type Key,
  type ListOptions,
  type Store,
  type WatchEvent,
  type WatchOptions,
} from "../store.ts";

/** Options of `openDenoKv`. */
export interface DenoKvOptions {
  /** Path of the file, or `:memory:`. A missing file is created, a missing folder is not. */
  readonly path: string;
}

/** Entries read at once. The engine allows 1,000 and its iterator 500. */
const PAGE_SIZE = 500;

/**
 * Opens a store in a Deno KV file (SQLite with a write-ahead log, which syncs
 * every commit) or in memory.
 *
 * Only one process at a time has a file open. Since the store is the only
 * writer, watchers get its own commits. Damage shows when a damaged part is
 * read, which need not be at the start.
 *
 * @throws {RangeError} when the path is empty
 * @throws {NetError} `failed_precondition` when the file is damaged or cannot
 * be there, or another user could exchange it, `unavailable` when it is in use or the disk is full
 */
export async function openDenoKv(options: DenoKvOptions): Promise<Store> {
  if (options.path === "") {
    throw new RangeError('"" is not a path: name a file, or ":memory:"');
  }
  if (options.path === ":memory:") {
    const kv = await Deno.openKv(":memory:");
    return new DenoKvStore(kv, "kv::memory:", { place: "the store in memory" });
  }
  // An absolute path, since the engine takes "http://..." as a remote database.
  const path = resolve(options.path);
  const place = `the state file "${path}"`;
  const file = await holdFile(path);
  let kv: Deno.Kv | undefined;
  try {
    await refuseHalfRestored(path);
    refuseLinks(path);
    kv = await Deno.openKv(path);
    for await (const _ of kv.list({ prefix: [] }, { limit: 1 }));
    return new DenoKvStore(kv, `kv:${path}`, { place, release: file.release });
  } catch (error) {
    kv?.close();
    file.release();
    throw toStoreError(error, `open ${place}`);
  }
}

interface Residence {
  /** Names the state in messages. */
  readonly place: string;
  /** Called when the engine is closed. */
  readonly release?: () => void;
}

class DenoKvStore implements Store {
  readonly url: string;
  readonly limits = DENO_KV_LIMITS;
  readonly #kv: Deno.Kv;
  readonly #residence: Residence;
  readonly #feed: ChangeFeed;
  readonly #pending = new Set<Promise<unknown>>();
  /** Resolves when the last commit so far has ended. */
  #lastCommit: Promise<unknown> = Promise.resolve();
  #closing: Promise<void> | null = null;

  constructor(kv: Deno.Kv, url: string, residence: Residence) {
    this.#kv = kv;
    this.url = url;
    this.#residence = residence;
    this.#feed = new ChangeFeed({
      list: (prefix) => this.list(prefix),
      settled: async () => void await this.#lastCommit,
    });
  }

  async get(key: Key): Promise<Entry | null> {
    keyBytes(key);
    const entry = await this.#run("read", () => this.#kv.get(key));
    return entry.versionstamp === null
      ? null
      : decodeEntry(entry, this.#residence.place);
  }

  async *list(prefix: Key, options: ListOptions = {}): AsyncGenerator<Entry> {
    const selector = selectBelow(prefix, options);
    const { reverse = false, after } = options;
    let left = options.limit ?? Infinity;
    if (!(left === Infinity || Number.isSafeInteger(left)) || left < 0) {
      throw new RangeError(
        `Cannot list: the limit ${left} is not a number of entries`,
      );
    }
    let cursor: string | undefined;
    while (selector !== null && left > 0) {
      const limit = Math.min(PAGE_SIZE, left);
      const page = await this.#run("read", () =>
        readPage(this.#kv, selector, {
          limit,
          reverse,
          ...(cursor === undefined ? {} : { cursor }),
        }));
      for (const raw of page.entries) {
        // The engine's start is inclusive.
        if (after !== undefined && isSameKey(after, raw.key)) continue;
        yield decodeEntry(raw, this.#residence.place);
        left--;
      }
      if (page.entries.length < limit) return;
      cursor = page.cursor;
    }
  }

  async commit(commit: Commit): Promise<CommitResult> {
    const encoded = encodeCommit(commit);
    // One at a time: the results come in the order of the versions, in which
    // watchers need them. The engine writes one at a time anyway; this costs a
    // fifth of the throughput of 64 at once.
    return await this.#run("write to", () => {
      const written = this.#lastCommit.then(() => this.#write(encoded));
      this.#lastCommit = written.catch(() => {});
      return written;
    });
  }

  async *watch(
    prefix: Key,
    options: WatchOptions,
  ): AsyncGenerator<WatchEvent> {
    checkEnginePrefix(prefix);
    yield* this.#feed.watch(prefix, options.signal);
  }

  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async #close(): Promise<void> {
    this.#feed.end();
    await Promise.allSettled(this.#pending);
    this.#kv.close();
    this.#residence.release?.();
  }

  async #write(commit: EncodedCommit): Promise<CommitResult> {
    const operation = this.#kv.atomic().check(...commit.checks);
    for (const { key, value } of commit.puts) operation.set(key, value);
    for (const key of commit.deletes) operation.delete(key);
    try {
      const result = await operation.commit();
      if (!result.ok) return { committed: false };
      const version = result.versionstamp;
      if (this.#feed.watched) this.#feed.publish(changesOf(commit, version));
      return { committed: true, version };
    } catch (cause) {
      if (!isOutcomeUnknown(cause)) throw cause;
      this.#feed.reset();
      const { code, message } = toStoreError(cause, this.#action("write to"));
      throw new NetError(
        code,
        `${message}; whether the commit was written is not known`,
        { cause },
      );
    }
  }

  async #run<T>(verb: string, call: () => Promise<T>): Promise<T> {
    if (this.#closing !== null) {
      throw new NetError(
        "unavailable",
        `Cannot ${this.#action(verb)}: it is closed`,
      );
    }
    const result = call();
    this.#pending.add(result);
    try {
      return await result;
    } catch (error) {
      throw toStoreError(error, this.#action(verb));
    } finally {
      this.#pending.delete(result);
    }
  }

  #action(verb: string): string {
    return `${verb} ${this.#residence.place}`;
  }
}

/** Selects the entries below a prefix and behind a key; null when there can be none. */
function selectBelow(
  prefix: Key,
  { after, reverse = false }: ListOptions,
): Deno.KvListSelector | null {
  checkEnginePrefix(prefix);
  if (after === undefined) return { prefix };
  keyBytes(after);
  if (isBelow(prefix, after)) {
    return reverse ? { prefix, end: after } : { prefix, start: after };
  }
  // The key is before or behind all keys below the prefix.
  const isBefore = compareKeys(after, prefix) <= 0;
  return isBefore === reverse ? null : { prefix };
}

function isSameKey(key: Key, other: Deno.KvKey): boolean {
  return key.length === other.length &&
    key.every((part, index) => part === other[index]);
}

async function readPage(
  kv: Deno.Kv,
  selector: Deno.KvListSelector,
  options: Deno.KvListOptions & { readonly limit: number },
): Promise<{ entries: Deno.KvEntry<unknown>[]; cursor: string }> {
  const iterator = kv.list(selector, { ...options, batchSize: options.limit });
  const entries: Deno.KvEntry<unknown>[] = [];
  for await (const entry of iterator) entries.push(entry);
  return { entries, cursor: entries.length === 0 ? "" : iterator.cursor };
}
