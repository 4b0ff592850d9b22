import { isBelow, keyText } from "./key.ts";
import type { Change, Entry, Key, WatchEvent } from "./store.ts";

/** How many changes wait for a watcher that does not read before it gets a new snapshot. */
export const MAX_BACKLOG = 10_000;

/** Where a feed takes its snapshots from. */
export interface SnapshotSource {
  /** Reads what is below a prefix. */
  list(prefix: Key): AsyncIterable<Entry>;
  /** Waits until the commits now under way are published or have failed. */
  settled(): Promise<void>;
}

/**
 * Tells watchers what the one writer of a store has committed, for engines
 * that cannot watch a prefix themselves.
 *
 * The writer publishes each commit after it succeeded, in the order of their
 * versions.
 */
export class ChangeFeed {
  readonly #source: SnapshotSource;
  readonly #watchers = new Set<Watcher>();

  constructor(source: SnapshotSource) {
    this.#source = source;
  }

  /** Whether anyone watches. Nothing needs to be published for nobody. */
  get watched(): boolean {
    return this.#watchers.size > 0;
  }

  /** Passes on the changes of one commit. */
  publish(changes: readonly Change[]): void {
    for (const watcher of this.#watchers) watcher.push(changes);
  }

  /** Gives every watcher a new snapshot: what was committed is not known for sure. */
  reset(): void {
    for (const watcher of this.#watchers) watcher.lose();
  }

  /** Ends every watch. */
  end(): void {
    for (const watcher of this.#watchers) watcher.end();
  }

  /** Follows what is below a prefix; as `Store.watch`. */
  async *watch(prefix: Key, signal: AbortSignal): AsyncGenerator<WatchEvent> {
    if (signal.aborted) return;
    const watcher = new Watcher(prefix);
    const end = () => watcher.end();
    signal.addEventListener("abort", end, { once: true });
    this.#watchers.add(watcher);
    try {
      for (;;) {
        const entries = await watcher.snapshot(this.#source);
        if (entries === null) return;
        yield { kind: "snapshot", entries };
        for (;;) {
          const changes = await watcher.take();
          if (changes === null) break;
          yield { kind: "changes", changes };
        }
      }
    } finally {
      this.#watchers.delete(watcher);
      signal.removeEventListener("abort", end);
    }
  }
}

/** One watch: what was published and is not read yet. */
class Watcher {
  readonly #prefix: Key;
  readonly #ended = Promise.withResolvers<null>();
  #isEnded = false;
  /** Whether a change was dropped since the last snapshot began. */
  #gap = false;
  #backlog: Change[] = [];
  /** While a snapshot is taken: the last change of each key. */
  #latest: Map<string, Change> | null = null;
  #wake: () => void = () => {};

  constructor(prefix: Key) {
    this.#prefix = prefix;
  }

  push(changes: readonly Change[]): void {
    for (const change of changes) {
      if (!isBelow(this.#prefix, change.key)) continue;
      if (this.#latest) this.#latest.set(keyText(change.key), change);
      else if (!this.#gap) this.#backlog.push(change);
    }
    if (this.#backlog.length > MAX_BACKLOG) this.lose();
    else if (this.#backlog.length > 0) this.#wake();
  }

  lose(): void {
    this.#gap = true;
    this.#backlog = [];
    this.#wake();
  }

  end(): void {
    this.#isEnded = true;
    this.#ended.resolve(null);
    this.#wake();
  }

  /** The changes since the last call, or null when only a snapshot can follow, or nothing. */
  async take(): Promise<readonly Change[] | null> {
    while (!this.#isEnded && !this.#gap && this.#backlog.length === 0) {
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    if (this.#isEnded || this.#gap) return null;
    const changes = this.#backlog;
    this.#backlog = [];
    return changes;
  }

  /** The entries as of the last change that was published, or null when the watch ended. */
  async snapshot(source: SnapshotSource): Promise<readonly Entry[] | null> {
    return this.#isEnded
      ? null
      : await Promise.race([this.#collect(source), this.#ended.promise]);
  }

  /**
   * A listing shows each key as of another moment, some of them ahead of what
   * is published. So the commits that it may have seen are awaited, and the
   * last change of each key that was published meanwhile is laid over it: the
   * result is the state after the last commit published, and every later one
   * is news.
   */
  async #collect(source: SnapshotSource): Promise<readonly Entry[] | null> {
    const latest = new Map<string, Change>();
    this.#gap = false;
    this.#backlog = [];
    this.#latest = latest;
    const entries: Entry[] = [];
    for await (const entry of source.list(this.#prefix)) {
      if (this.#isEnded) return null;
      entries.push(entry);
    }
    await source.settled();
    this.#latest = null;
    // What was not told of meanwhile may be in a part of it.
    if (this.#gap) return await this.#collect(source);
    return latest.size === 0 ? entries : merge(entries, latest);
  }
}

function merge(
  entries: readonly Entry[],
  latest: ReadonlyMap<string, Change>,
): readonly Entry[] {
  const merged = new Map(entries.map((entry) => [keyText(entry.key), entry]));
  for (const [text, { key, value, version }] of latest) {
    if (value === null) merged.delete(text);
    else merged.set(text, { key, value, version });
  }
  return [...merged.values()];
}
