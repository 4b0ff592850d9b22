import { NetError } from "../base/error.ts";
import type { ClusterEvent } from "./view.ts";

/** Changes of so many milliseconds go out together. */
const COALESCE_MS = 30;
/** Events that a watcher may be behind. */
const MAX_BACKLOG = 256;

/** Watchers that are told of all there is at once: the others wait, so that memory is bounded. */
const MAX_SNAPSHOTS = 32;
/** How long a watcher that does not read keeps others waiting, in ms. */
const SNAPSHOT_TIMEOUT_MS = 5_000;

/** What has changed. */
export interface Dirty {
  readonly nodes: ReadonlySet<string>;
  /** Destinations in canonical form. */
  readonly routes: ReadonlySet<string>;
  /** Whether what others are checked with has. */
  readonly trust: boolean;
}

/** What a feed tells its watchers, made from the registry's state. */
export interface ClusterFeedSource {
  /** All that there is. Calls `then` with it before anything changes. */
  snapshot(then: (event: ClusterEvent) => void): Promise<void>;
  /** What became of what has changed. */
  changes(dirty: Dirty): Promise<ClusterEvent>;
}

interface Watcher {
  readonly backlog: ClusterEvent[];
  wake: () => void;
  isLost: boolean;
}

/**
 * Tells watchers what changes: a snapshot first, then changes, coalesced. An
 * event is made once, however many watch.
 */
export class ClusterFeed {
  readonly #source: ClusterFeedSource;
  readonly #watchers = new Set<Watcher>();
  #nodes = new Set<string>();
  #routes = new Set<string>();
  #trust = false;
  #flushing: ReturnType<typeof setTimeout> | undefined;
  /** All that there is, as long as nothing has changed. */
  #latest: ClusterEvent | undefined;
  #free = MAX_SNAPSHOTS;
  readonly #waiting: (() => void)[] = [];

  constructor(source: ClusterFeedSource) {
    this.#source = source;
  }

  /** Takes in that a node has changed. */
  touchNode(name: string): void {
    this.#latest = undefined;
    if (this.#watchers.size === 0) return;
    this.#nodes.add(name);
    this.#schedule();
  }

  /** Takes in that an extra route has changed. */
  touchRoute(destination: string): void {
    this.#latest = undefined;
    if (this.#watchers.size === 0) return;
    this.#routes.add(destination);
    this.#schedule();
  }

  /** Takes in that what others are checked with has changed. */
  touchTrust(): void {
    this.#latest = undefined;
    if (this.#watchers.size === 0) return;
    this.#trust = true;
    this.#schedule();
  }

  /** Takes in that all may be different: every watcher begins anew. */
  reset(): void {
    this.#latest = undefined;
    for (const watcher of this.#watchers) lose(watcher);
  }

  /**
   * Follows the cluster until a signal ends it.
   *
   * @throws {NetError} `unavailable` when the watcher is too slow: it watches again
   */
  async *watch(signal: AbortSignal): AsyncGenerator<ClusterEvent> {
    const watcher: Watcher = { backlog: [], wake: () => {}, isLost: false };
    const onAbort = () => watcher.wake();
    signal.addEventListener("abort", onAbort);
    let release = () => {};
    try {
      release = await this.#turn();
      if (this.#latest) {
        watcher.backlog.push(this.#latest);
        this.#watchers.add(watcher);
      } else {
        await this.#source.snapshot((event) => {
          this.#latest = event;
          watcher.backlog.push(event);
          this.#watchers.add(watcher);
        });
      }
      yield watcher.backlog.shift()!;
      // It has been handed over: whoever pulls the next is done with it.
      release();
      while (!signal.aborted) {
        if (watcher.isLost) {
          throw new NetError(
            "unavailable",
            "Cannot go on with the watch: changes were missed; watch again",
          );
        }
        const event = watcher.backlog.shift();
        if (event) yield event;
        else await new Promise<void>((resolve) => watcher.wake = resolve);
      }
    } finally {
      release();
      signal.removeEventListener("abort", onAbort);
      this.#watchers.delete(watcher);
      if (this.#watchers.size === 0) this.#forgetDirty();
    }
  }

  /** Waits for its turn to be told of all there is. Returns what ends that turn. */
  async #turn(): Promise<() => void> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    let isDone = false;
    const release = () => {
      if (isDone) return;
      isDone = true;
      clearTimeout(timer);
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free++;
    };
    const timer = setTimeout(release, SNAPSHOT_TIMEOUT_MS);
    return release;
  }

  #schedule(): void {
    this.#flushing ??= setTimeout(() => void this.#flush(), COALESCE_MS);
  }

  #forgetDirty(): void {
    clearTimeout(this.#flushing);
    this.#flushing = undefined;
    this.#nodes = new Set();
    this.#routes = new Set();
    this.#trust = false;
  }

  async #flush(): Promise<void> {
    const dirty = {
      nodes: this.#nodes,
      routes: this.#routes,
      trust: this.#trust,
    };
    this.#forgetDirty();
    let event: ClusterEvent;
    try {
      event = await this.#source.changes(dirty);
    } catch {
      // The store is out of reach.
      this.reset();
      return;
    }
    for (const watcher of this.#watchers) {
      if (watcher.backlog.length >= MAX_BACKLOG) lose(watcher);
      else watcher.backlog.push(event);
      watcher.wake();
    }
  }
}

function lose(watcher: Watcher): void {
  watcher.isLost = true;
  watcher.backlog.length = 0;
  watcher.wake();
}
