import { NetError } from "../base/error.ts";
import { formatPrefix, type Prefix } from "../net/prefix.ts";
import type { Address } from "../net/address.ts";
import type { Trust } from "../security/trust.ts";
import type { RouteRecord } from "./plan/cluster_state.ts";

/** Time for which changes are collected into one event, in ms. */
export const COALESCE_MS = 30;
/** Most events that wait for a watcher. */
const MAX_BACKLOG = 256;
/** Most watchers that read a snapshot at once; the others wait, so that memory stays bounded. */
const MAX_SNAPSHOTS = 32;
/** Time after which a watcher that does not read its snapshot stops holding up the others, in ms. */
export const SNAPSHOT_TIMEOUT_MS = 5_000;

/** The parts of the cluster that have changed. */
export interface Changed {
  readonly nodes: ReadonlySet<string>;
  /** Destinations in canonical form. */
  readonly routes: ReadonlySet<string>;
  /** Whether what nodes verify each other with has changed. */
  readonly trust: boolean;
}

/** Makes the events of a feed from the registry's state. */
export interface ClusterFeedSource {
  /** Makes a snapshot, and calls `then` with it before the state changes. */
  snapshot(then: (event: ClusterEvent) => void): Promise<void>;
  /** Makes the event that tells what has become of something that changed. */
  changes(changed: Changed): Promise<ClusterEvent>;
}

interface Watcher {
  readonly backlog: ClusterEvent[];
  wake: () => void;
  isLost: boolean;
}

/**
 * Sends watchers a snapshot, then coalesced changes. Each event is made once,
 * however many watchers there are.
 */
export class ClusterFeed {
  readonly #source: ClusterFeedSource;
  readonly #watchers = new Set<Watcher>();
  #nodes = new Set<string>();
  #routes = new Set<string>();
  #trust = false;
  #flushing: ReturnType<typeof setTimeout> | undefined;
  /** The last snapshot, as long as nothing has changed. */
  #latest: ClusterEvent | undefined;
  #free = MAX_SNAPSHOTS;
  readonly #waiting: (() => void)[] = [];

  constructor(source: ClusterFeedSource) {
    this.#source = source;
  }

  nodeChanged(name: string): void {
    this.#collect(() => this.#nodes.add(name));
  }

  /** @param destination in canonical form */
  routeChanged(destination: string): void {
    this.#collect(() => this.#routes.add(destination));
  }

  /** The trust by which nodes verify each other has changed. */
  trustChanged(): void {
    this.#collect(() => this.#trust = true);
  }

  /** Makes every watcher restart from a snapshot. */
  reset(): void {
    this.#latest = undefined;
    for (const watcher of this.#watchers) drop(watcher);
  }

  /**
   * Follows the cluster until a signal ends it.
   *
   * @throws {NetError} `unavailable` when the watcher has missed changes: it
   * restarts from a snapshot with another watch
   */
  async *watch(signal: AbortSignal): AsyncGenerator<ClusterEvent> {
    const watcher: Watcher = { backlog: [], wake: () => {}, isLost: false };
    const onAbort = () => watcher.wake();
    signal.addEventListener("abort", onAbort);
    let release = () => {};
    try {
      release = await this.#takeTurn();
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
      // A watcher that asks for the next event has read its snapshot.
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
      if (this.#watchers.size === 0) this.#clear();
    }
  }

  /** Waits until a snapshot may be sent. Returns the function that lets the next watcher have one. */
  async #takeTurn(): Promise<() => void> {
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

  #collect(add: () => void): void {
    this.#latest = undefined;
    if (this.#watchers.size === 0) return;
    add();
    this.#flushing ??= setTimeout(() => void this.#flush(), COALESCE_MS);
  }

  #clear(): void {
    clearTimeout(this.#flushing);
    this.#flushing = undefined;
    this.#nodes = new Set();
    this.#routes = new Set();
    this.#trust = false;
  }

  async #flush(): Promise<void> {
    const changed = {
      nodes: this.#nodes,
      routes: this.#routes,
      trust: this.#trust,
    };
    this.#clear();
    let event: ClusterEvent;
    try {
      event = await this.#source.changes(changed);
    } catch {
      // The store is out of reach.
      this.reset();
      return;
    }
    for (const watcher of this.#watchers) {
      if (watcher.backlog.length >= MAX_BACKLOG) drop(watcher);
      else watcher.backlog.push(event);
      watcher.wake();
    }
  }
}

/** Ends a watch that has missed changes. */
function drop(watcher: Watcher): void {
  watcher.isLost = true;
  watcher.backlog.length = 0;
  watcher.wake();
}

/** A node as the others see it. */
export interface ClusterNode {
  readonly name: string;
  readonly subnets: readonly Prefix[];
  /** Its addresses as a next hop, at most one of each family. */
  readonly advertised: readonly Address[];
  /** URL of its agent's API; empty when other hosts cannot reach it. */
  readonly apiUrl: string;
  readonly state: "ready" | "unreachable" | "no agent";
  /** In ms since 1970; 0: it has not joined, and the registry refuses it. */
  readonly joinedAtMs: number;
  /** Time of its last heartbeat, in ms since 1970; undefined: none since the registry started. */
  readonly seenAtMs: number | undefined;
  /** A problem with its identity, such as a second process with its state. Absent: none. */
  readonly problem?: string;
}

/** An event of a watch: a snapshot, or what has changed. */
export interface ClusterEvent {
  /** Revision of the registry after it. */
  readonly revision: number;
  /** Whether there are no nodes and routes but these. */
  readonly isSnapshot: boolean;
  readonly nodes: readonly ClusterNode[];
  readonly routes: readonly RouteRecord[];
  readonly removedNodes: readonly string[];
  /** Destinations in canonical form. */
  readonly removedRoutes: readonly string[];
  /** The trust by which nodes verify each other: in each snapshot, and when it has changed. Absent where there is none. */
  readonly trust?: Trust;
}

/** The nodes and extra routes that a watcher knows. */
export class ClusterView {
  readonly #nodes = new Map<string, ClusterNode>();
  readonly #routes = new Map<string, RouteRecord>();
  /** By name. */
  readonly nodes: ReadonlyMap<string, ClusterNode> = this.#nodes;
  /** By destination in canonical form. */
  readonly routes: ReadonlyMap<string, RouteRecord> = this.#routes;
  /** Revision of the registry that is known here. */
  revision = 0;
  /** Number of changes of nodes. */
  nodeChanges = 0;
  /** Called after each of them. */
  onNodes: () => void = () => {};

  apply(event: ClusterEvent): void {
    if (event.isSnapshot) this.clear();
    this.revision = event.revision;
    for (const node of event.nodes) this.#nodes.set(node.name, node);
    for (const name of event.removedNodes) this.#nodes.delete(name);
    for (const route of event.routes) {
      this.#routes.set(formatPrefix(route.destination), route);
    }
    for (const cidr of event.removedRoutes) this.#routes.delete(cidr);
    if (event.nodes.length + event.removedNodes.length > 0) {
      this.#nodesChanged();
    }
  }

  clear(): void {
    this.revision = 0;
    this.#nodes.clear();
    this.#routes.clear();
    this.#nodesChanged();
  }

  #nodesChanged(): void {
    this.nodeChanges++;
    this.onNodes();
  }
}
