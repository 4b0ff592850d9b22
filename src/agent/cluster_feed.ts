import { NetError } from "../error.ts";
import type { ClusterEvent } from "./cluster_view.ts";

/** Changes of so many milliseconds go out together. */
const COALESCE_MS = 30;
/** Events that a watcher may be behind. */
const MAX_BACKLOG = 256;

/** Nodes and routes that have changed. */
export interface Dirty {
  readonly nodes: ReadonlySet<string>;
  /** Destinations in canonical form. */
  readonly routes: ReadonlySet<string>;
}

/** What a feed tells its watchers, made from the registry's state. */
export interface ClusterFeedSource {
  /** All that there is. Calls `then` with it before anything changes. */
  snapshot(then: (event: ClusterEvent) => void): Promise<void>;
  /** What became of some nodes and routes. */
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
  #flushing: Promise<void> | undefined;

  constructor(source: ClusterFeedSource) {
    this.#source = source;
  }

  /** Takes in that a node has changed. */
  touchNode(name: string): void {
    if (this.#watchers.size === 0) return;
    this.#nodes.add(name);
    this.#schedule();
  }

  /** Takes in that an extra route has changed. */
  touchRoute(destination: string): void {
    if (this.#watchers.size === 0) return;
    this.#routes.add(destination);
    this.#schedule();
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
    try {
      await this.#source.snapshot((event) => {
        watcher.backlog.push(event);
        this.#watchers.add(watcher);
      });
      while (!signal.aborted) {
        if (watcher.isLost) {
          throw new NetError(
            "unavailable",
            `Cannot go on with the watch: it is ${MAX_BACKLOG} events behind; watch again`,
          );
        }
        const event = watcher.backlog.shift();
        if (event) yield event;
        else await new Promise<void>((resolve) => watcher.wake = resolve);
      }
    } finally {
      signal.removeEventListener("abort", onAbort);
      this.#watchers.delete(watcher);
    }
  }

  #schedule(): void {
    this.#flushing ??= new Promise((resolve) => {
      setTimeout(() => resolve(this.#flush()), COALESCE_MS);
    });
  }

  async #flush(): Promise<void> {
    this.#flushing = undefined;
    const dirty = { nodes: this.#nodes, routes: this.#routes };
    this.#nodes = new Set();
    this.#routes = new Set();
    let event: ClusterEvent;
    try {
      event = await this.#source.changes(dirty);
    } catch {
      // The store is out of reach: every watcher begins anew.
      for (const watcher of this.#watchers) lose(watcher);
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
