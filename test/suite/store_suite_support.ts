import assert from "node:assert/strict";
import type {
  Entry,
  JsonValue,
  Key,
  Store,
  Version,
  WatchEvent,
} from "../../src/store/store.ts";

/** A store under test. */
export interface StoreSubject {
  /** Empty at first. */
  readonly store: Store;
  /** Closes the store and opens its state again; there when it is durable. */
  reopen?(): Promise<Store>;
  /** Closes the store, if it is open, and removes its state. */
  dispose(): Promise<void>;
}

export interface StoreSuiteOptions {
  /** Opens a new, empty store; called once a test. */
  open(): Promise<StoreSubject>;
  /** Whether subjects can be reopened. */
  readonly durable: boolean;
  /** How many changes, at most, wait for a watcher that does not read. */
  readonly maxBacklog: number;
}

export type StoreTest = (
  name: string,
  body: (store: Store, subject: StoreSubject) => Promise<void>,
) => void;

/** How tests of a suite are registered: each gets a store of its own. */
export function suiteTest(
  engine: string,
  { open }: StoreSuiteOptions,
): StoreTest {
  return (name, body) =>
    Deno.test(`${engine}: ${name}`, async () => {
      const subject = await open();
      try {
        await body(subject.store, subject);
      } finally {
        await subject.dispose();
      }
    });
}

/** Puts one entry, and returns its version. */
export async function put(
  store: Store,
  key: Key,
  value: JsonValue,
): Promise<Version> {
  const result = await store.commit({ puts: [{ key, value }] });
  assert.ok(result.committed);
  return result.version;
}

/** Puts many entries, in as few commits as the store allows. */
export async function putAll(
  store: Store,
  puts: readonly { key: Key; value: JsonValue }[],
): Promise<void> {
  const step = Math.min(store.limits.maxMutations, 500);
  for (let i = 0; i < puts.length; i += step) {
    const result = await store.commit({ puts: puts.slice(i, i + step) });
    assert.ok(result.committed);
  }
}

/** Reads a sequence to its end. */
export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

/** The keys below a prefix, as listed. */
export async function listKeys(store: Store, prefix: Key): Promise<Key[]> {
  return (await collect(store.list(prefix))).map((entry) => entry.key);
}

/** Waits for a promise, but fails when it takes longer than `ms`. */
export async function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`It is not done within ${ms} ms`)),
      ms,
    );
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** The order of keys as the port defines it, by other means than the adapters. */
export function byKey(a: Key, b: Key): number {
  const [left, right] = [sortBytes(a), sortBytes(b)];
  const length = Math.min(left.length, right.length);
  for (let i = 0; i < length; i++) {
    if (left[i] !== right[i]) return left[i]! - right[i]!;
  }
  return left.length - right.length;
}

function sortBytes(key: Key): number[] {
  return key.flatMap((part) =>
    typeof part === "string"
      ? [1, ...[...new TextEncoder().encode(part)].map((byte) => byte + 1), 0]
      : [2, part]
  );
}

/** A watch that is read step by step. */
export class WatchReader {
  readonly #abort = new AbortController();
  readonly #events: AsyncIterator<WatchEvent>;

  constructor(store: Store, prefix: Key) {
    this.#events = store.watch(prefix, { signal: this.#abort.signal })
      [Symbol.asyncIterator]();
  }

  /** The next event; undefined at the end of the watch. */
  async next(): Promise<WatchEvent | undefined> {
    const { done, value } = await within(5_000, this.#events.next());
    return done ? undefined : value;
  }

  /** Ends the watch by its signal. */
  abort(): void {
    this.#abort.abort();
  }
}

/** What a watcher knows: the events of a watch replayed, each checked against the last. */
export class Replica {
  readonly #entries = new Map<string, Entry>();
  #version: Version = "";
  snapshots = 0;
  changes = 0;

  apply(event: WatchEvent): void {
    if (event.kind === "snapshot") {
      this.snapshots++;
      this.#entries.clear();
      for (const entry of event.entries) this.#set(entry);
      const versions = event.entries.map((entry) => entry.version);
      this.#version = [this.#version, ...versions].sort().at(-1)!;
      return;
    }
    const before = this.#version;
    assert.notEqual(event.changes.length, 0);
    for (const { key, value, version } of event.changes) {
      assert.ok(version > before, `${version} is news after ${before}`);
      assert.ok(version >= this.#version, `${version} after ${this.#version}`);
      this.#version = version;
      this.changes++;
      if (value === null) this.#entries.delete(JSON.stringify(key));
      else this.#set({ key, value, version });
    }
  }

  has(key: Key): boolean {
    return this.#entries.has(JSON.stringify(key));
  }

  valueOf(key: Key): JsonValue | undefined {
    return this.#entries.get(JSON.stringify(key))?.value;
  }

  /** All entries in the order of their keys. */
  entries(): Entry[] {
    return [...this.#entries.values()].sort((a, b) => byKey(a.key, b.key));
  }

  #set(entry: Entry): void {
    this.#entries.set(JSON.stringify(entry.key), entry);
  }
}
