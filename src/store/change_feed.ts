import {
  type Change,
  type Entry,
  isBelow,
  type Key,
  keyText,
  type WatchEvent,
} from "./store.ts";

/** Most changes that wait for a watcher. Beyond that it restarts from a snapshot. */
export const MAX_BACKLOG = 10_000;

/** The source of a feed's snapshots. */
export interface SnapshotSource {
  /** Reads the entries below a prefix. */
  list(prefix: Key): AsyncIterable<Entry>;
  /** Waits until the commits in flight are published or have failed. */
  settled(): Promise<void>;
}

/**
 * Sends watchers the commits of a store's only writer, for engines that cannot
 * watch a prefix themselves.
 *
 * The writer publishes each commit after it has succeeded, in the order of the
 * versions.
 */
export class ChangeFeed {
  readonly #source: SnapshotSource;
  readonly #watchers = new Set<Watcher>();
  /** Whether there is a watcher. Without one nothing needs to be published. */
  watched = false;

  constructor(source: SnapshotSource) {
    this.#source = source;
  }

  /** Sends the changes of one commit. */
  publish(changes: readonly Change[]): void {
    for (const watcher of this.#watchers) watcher.push(changes);
  }

  /** Makes every watcher restart from a snapshot: the outcome of a commit is not known. */
  reset(): void {
    for (const watcher of this.#watchers) watcher.lose();
  }

  /** Ends every watch. */
  end(): void {
    for (const watcher of this.#watchers) watcher.end();
  }

  /** As `Store.watch`. */
  async *watch(prefix: Key, signal: AbortSignal): AsyncGenerator<WatchEvent> {
    if (signal.aborted) return;
    const watcher = new Watcher(prefix);
    const end = () => watcher.end();
    signal.addEventListener("abort", end, { once: true });
    this.#watchers.add(watcher);
    this.watched = true;
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
      this.watched = this.#watchers.size > 0;
      signal.removeEventListener("abort", end);
    }
  }
}

/** One watch, with the changes that it has not read yet. */
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

  /** The changes since the last call; null when the watch has to restart or has ended. */
  async take(): Promise<readonly Change[] | null> {
    while (!this.#isEnded && !this.#gap && this.#backlog.length === 0) {
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    if (this.#isEnded || this.#gap) return null;
    const changes = this.#backlog;
    this.#backlog = [];
    return changes;
  }

  /** The entries as of the last published change; null when the watch has ended. */
  async snapshot(source: SnapshotSource): Promise<readonly Entry[] | null> {
    return this.#isEnded
      ? null
      : await Promise.race([this.#collect(source), this.#ended.promise]);
  }

  /**
   * A listing reads its keys at different moments, some of them ahead of the
   * published changes. Therefore it waits for the commits that the listing may
   * have seen, and then overlays the last change of each key that was published
   * meanwhile. The result is the state after the last published commit.
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
    // A change that was dropped meanwhile may be in a part of it.
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
