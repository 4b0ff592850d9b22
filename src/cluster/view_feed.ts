import { getLogger } from "@logtape/logtape";
import { mapBounded } from "../base/map_bounded.ts";
import { type PeriodicTask, startPeriodicTask } from "../base/periodic_task.ts";
import { BackOff, followWatch } from "../base/retry.ts";
import {
  type ClusterEvent,
  type ClusterNode,
  ClusterView,
} from "../registry/feed.ts";
import type { EventLog, StoredEvent } from "./event_log.ts";
import type { ClusterSummary } from "./plan/overview.ts";
import type { ReceivedReport, Reports } from "./reports.ts";

/** Time for which changes are gathered into one, in ms. */
export const GATHER_MS = 250;
/** Interval at which hosts are asked that send this agent no reports, in ms. */
const ASK_INTERVAL_MS = 5_000;
/** Hosts that are asked at once. */
const ASKED_AT_ONCE = 32;
/** Interval of changes without content to a watcher, in ms. */
const PROGRESS_MS = 10_000;
/** Time for which the feed goes on without a watcher, so that one can come back, in ms. */
const LINGER_MS = 30_000;
/** Events that are kept for watchers that come back, and names of hosts that are gone. */
const MAX_KEPT = 1_000;

const log = getLogger(["stellar-net", "cluster", "view"]);

/** A host with its last report. */
export interface HostEntry {
  readonly node: ClusterNode;
  /** Undefined if there is none. */
  readonly received: ReceivedReport | undefined;
}

/** A change of the cluster for a watcher. */
export interface ViewChange {
  /** Where a watcher can go on. Opaque. */
  readonly revision: string;
  /** Whether `hosts` lists all hosts. */
  readonly isSnapshot: boolean;
  readonly hosts: readonly HostEntry[];
  readonly removedHosts: readonly string[];
  /** Undefined: it has not changed. */
  readonly summary: ClusterSummary | undefined;
  readonly events: readonly StoredEvent[];
  /** Whether there were events that are not here. */
  readonly hasMissedEvents: boolean;
}

export interface ViewFeedOptions {
  /** Names this feed in revisions; random. */
  readonly id: string;
  /** Follows the registry: a snapshot, then changes. */
  readonly watch: (signal: AbortSignal) => AsyncIterable<ClusterEvent>;
  readonly events: Pick<EventLog, "follow">;
  readonly reports: Pick<Reports, "get" | "fresh" | "listen">;
  /** Asks the host of a node that sends its reports elsewhere; undefined: it does not answer. */
  readonly ask: (node: ClusterNode) => Promise<ReceivedReport | undefined>;
  readonly summarize: (hosts: readonly HostEntry[]) => Promise<ClusterSummary>;
}

/** Something with the version of the feed at which it changed last. */
interface Versioned<T> {
  readonly value: T;
  readonly version: number;
}

/**
 * Follows the cluster for views. A watcher has nothing of its own here but the
 * version up to which it knows the cluster, so that a slow one costs no memory
 * and skips what is out of date. The feed works only while somebody watches.
 */
export class ViewFeed {
  readonly #options: ViewFeedOptions;
  readonly #view = new ClusterView();
  readonly #hosts = new Map<string, Versioned<HostEntry>>();
  readonly #removed = new Map<string, number>();
  readonly #asked = new Map<string, ReceivedReport>();
  #summary:
    | Versioned<{ readonly of: ClusterSummary; readonly text: string }>
    | undefined;
  #events: Versioned<StoredEvent>[] = [];
  /** The first version from which on all events, and all names that are gone, are kept. */
  #eventsFrom = 0;
  #removedFrom = 0;
  #version = 0;
  readonly #dirty = new Set<string>();
  readonly #newEvents: StoredEvent[] = [];
  #hasLostEvents = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isFlushing = false;
  readonly #wakes = new Set<() => void>();
  #watchers = 0;
  #running:
    | { readonly stop: AbortController; readonly ready: Promise<unknown> }
    | undefined;
  #lingering: ReturnType<typeof setTimeout> | undefined;

  constructor(options: ViewFeedOptions) {
    this.#options = options;
  }

  /** Ends all watches. */
  stop(): void {
    clearTimeout(this.#lingering);
    this.#rest();
    for (const wake of this.#wakes) wake();
  }

  /**
   * Follows the cluster until a signal ends it.
   *
   * @param from the revision of an earlier watch; empty, or not known any more:
   * the first change is a snapshot
   */
  async *watch(
    { from, signal }: { readonly from: string; readonly signal: AbortSignal },
  ): AsyncGenerator<ViewChange> {
    clearTimeout(this.#lingering);
    this.#watchers++;
    this.#running ??= this.#start();
    const running = this.#running;
    const end = AbortSignal.any([signal, running.stop.signal]);
    try {
      await Promise.race([running.ready, aborted(end)]);
      let at = this.#versionOf(from);
      let isFirst = true;
      while (!end.aborted) {
        if (isFirst || at !== this.#version) {
          const change = this.#changeSince(at);
          at = this.#version;
          isFirst = false;
          yield change;
          continue;
        }
        const hasChanged = await this.#next(end);
        if (!hasChanged && !end.aborted) yield this.#changeSince(at);
      }
    } finally {
      this.#watchers--;
      if (this.#watchers === 0 && this.#running) {
        this.#lingering = setTimeout(() => this.#rest(), LINGER_MS);
      }
    }
  }

  /** The version that a revision names; undefined if it is not one of this feed. */
  #versionOf(revision: string): number | undefined {
    const [, id, version] = /^(.+)\.(\d{1,15})$/.exec(revision) ?? [];
    const at = Number(version);
    if (id !== this.#options.id || at > this.#version) return undefined;
    return at < this.#removedFrom ? undefined : at;
  }

  #changeSince(at: number | undefined): ViewChange {
    const since = at ?? -1;
    const isNew = ({ version }: { readonly version: number }) =>
      version > since;
    return {
      revision: `${this.#options.id}.${this.#version}`,
      isSnapshot: at === undefined,
      hosts: [...this.#hosts.values()].filter(isNew).map(({ value }) => value),
      removedHosts: at === undefined
        ? []
        : [...this.#removed].flatMap(([name, version]) =>
          version > at ? [name] : []
        ),
      summary: this.#summary && isNew(this.#summary)
        ? this.#summary.value.of
        : undefined,
      events: at === undefined
        ? []
        : this.#events.filter(isNew).map(({ value }) => value),
      hasMissedEvents: at === undefined || at < this.#eventsFrom,
    };
  }

  /** Waits for a change. @returns false if there was none for a while */
  async #next(signal: AbortSignal): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const wake = () => resolve(true);
    const timer = setTimeout(() => resolve(false), PROGRESS_MS);
    this.#wakes.add(wake);
    signal.addEventListener("abort", wake);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      this.#wakes.delete(wake);
      signal.removeEventListener("abort", wake);
    }
  }

  #start() {
    const stop = new AbortController();
    const { signal } = stop;
    const { watch, events, reports } = this.#options;
    const hasHosts = Promise.withResolvers<void>();
    const hasEvents = Promise.withResolvers<void>();
    const follow = <E>(
      open: () => AsyncIterable<E>,
      onEvent: (event: E) => void,
      what: string,
    ) =>
      void followWatch({
        ...{ signal, open, onEvent },
        backOff: new BackOff({ firstMs: 1_000 }),
        onFailure: (error) =>
          log.debug("Following {what} again: {error}", { what, error }),
      });
    let asking: PeriodicTask | undefined;
    follow(() => watch(signal), (event) => {
      this.#apply(event);
      if (asking) return;
      asking = this.#startAsking();
      void this.#flush().then(hasHosts.resolve);
    }, "the registry");
    follow(() => events.follow(signal), (recorded) => {
      hasEvents.resolve();
      if (recorded === "missed") this.#hasLostEvents = true;
      else this.#newEvents.push(...recorded);
      this.#flushLater();
    }, "events");
    const deaf = reports.listen((node) => this.#mark(node));
    signal.addEventListener("abort", () => {
      deaf();
      void asking?.stop();
    });
    const ready = Promise.all([hasHosts.promise, hasEvents.promise]);
    return { stop, ready };
  }

  #startAsking(): PeriodicTask {
    const { reports, ask } = this.#options;
    return startPeriodicTask("ask hosts that send no reports here", {
      intervalMs: ASK_INTERVAL_MS,
      run: async () => {
        const silent = [...this.#view.nodes.values()].filter((
          { name, state },
        ) => state === "ready" && reports.fresh(name) === undefined);
        await mapBounded(silent, async (node) => {
          const received = await ask(node);
          if (!received) return;
          this.#asked.set(node.name, received);
          this.#mark(node.name);
        }, { atOnce: ASKED_AT_ONCE });
      },
    });
  }

  /** Forgets the cluster after the last watcher has left. */
  #rest(): void {
    this.#running?.stop.abort();
    this.#running = undefined;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#hosts.clear();
    this.#asked.clear();
    this.#removed.clear();
    this.#dirty.clear();
    this.#newEvents.length = 0;
    this.#hasLostEvents = false;
    this.#isFlushing = false;
    this.#view.clear();
    this.#summary = undefined;
    this.#events = [];
    // What was kept up to here is gone.
    this.#version++;
    this.#removedFrom = this.#version;
    this.#eventsFrom = this.#version;
  }

  #apply(event: ClusterEvent): void {
    const before = event.isSnapshot ? [...this.#view.nodes.keys()] : [];
    this.#view.apply(event);
    const changed = event.nodes.map(({ name }) => name);
    for (const name of [...before, ...changed, ...event.removedNodes]) {
      this.#dirty.add(name);
    }
    this.#flushLater();
  }

  #mark(name: string): void {
    this.#dirty.add(name);
    this.#flushLater();
  }

  #flushLater(): void {
    if (this.#isFlushing || !this.#running) return;
    this.#timer ??= setTimeout(() => void this.#flush(), GATHER_MS);
  }

  async #flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const running = this.#running;
    this.#isFlushing = true;
    const version = this.#version + 1;
    for (const name of this.#dirty) this.#refresh(name, version);
    this.#dirty.clear();
    await this.#sumUp(version);
    // It rested meanwhile, and may be flushing for another watcher.
    if (running !== this.#running) return;
    this.#isFlushing = false;
    for (const value of this.#newEvents.splice(0)) {
      this.#events.push({ value, version });
    }
    const gone = this.#events.splice(0, this.#events.length - MAX_KEPT).at(-1);
    if (gone) this.#eventsFrom = gone.version;
    if (this.#hasLostEvents) this.#eventsFrom = version;
    this.#hasLostEvents = false;
    for (const [name, removedAt] of this.#removed) {
      if (this.#removed.size <= MAX_KEPT) break;
      this.#removed.delete(name);
      this.#removedFrom = removedAt;
    }
    this.#version = version;
    for (const wake of this.#wakes) wake();
    if (this.#dirty.size + this.#newEvents.length > 0) this.#flushLater();
  }

  async #sumUp(version: number): Promise<void> {
    const entries = [...this.#hosts.values()].map(({ value }) => value);
    try {
      const of = await this.#options.summarize(entries);
      const text = JSON.stringify(of, plain);
      if (text !== this.#summary?.value.text) {
        this.#summary = { value: { of, text }, version };
      }
    } catch (error) {
      // The store is out of reach: the summary of before stands.
      log.debug("Cannot sum the cluster up: {error}", { error });
    }
  }

  #refresh(name: string, version: number): void {
    const node = this.#view.nodes.get(name);
    if (node) {
      const { reports } = this.#options;
      const received = reports.fresh(name) ?? this.#asked.get(name) ??
        reports.get(name);
      this.#hosts.set(name, { value: { node, received }, version });
      this.#removed.delete(name);
    } else if (this.#hosts.delete(name)) {
      this.#asked.delete(name);
      this.#removed.set(name, version);
    }
  }
}

function plain(_: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve());
  });
}
