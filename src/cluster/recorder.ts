import { getLogger } from "@logtape/logtape";
import { type PeriodicTask, startPeriodicTask } from "../base/periodic_task.ts";
import { BackOff, followWatch } from "../base/retry.ts";
import { formatAddress } from "../net/address.ts";
import { formatPrefix } from "../net/prefix.ts";
import { type ClusterEvent, ClusterView } from "../registry/feed.ts";
import type { Key, Store, Version } from "../store/store.ts";
import { diffObservations, type Observation } from "./plan/events.ts";
import type { EventLog, StoredEvent } from "./event_log.ts";
import type { Reports } from "./reports.ts";
import type { Requesters } from "./requesters.ts";

/** Key of the agent that records what all of them observe. */
const RECORDER_KEY: Key = ["recorder"];
/** Interval of the sign of life of the recording agent, in ms. */
const BEAT_INTERVAL_MS = 5_000;
/** Silence after which another agent records, in ms. */
const SILENT_MS = 15_000;
/** Interval between looks for subnets in conflict, in ms. */
const LOOK_INTERVAL_MS = 10_000;
/** Time by which clocks of agents, and their watches, may differ for one event, in ms. */
const SAME_EVENT_MS = 15_000;
/** Observed events that an agent keeps while another one records. */
const MAX_PENDING = 1_000;
/** Time to the next watch after one that failed, in ms. */
const REWATCH_MS = 1_000;

const log = getLogger(["stellar-net", "cluster", "events"]);

export interface RecorderOptions {
  /** Id of this agent. */
  readonly id: string;
  readonly store: Store;
  /** Whether other agents host the registry in the same store. */
  readonly isShared: boolean;
  readonly events: EventLog;
  readonly reports: Reports;
  /** Follows the registry: a snapshot, then changes. */
  readonly watch: (signal: AbortSignal) => AsyncIterable<ClusterEvent>;
  /** The callers of changes. */
  readonly requesters: Pick<Requesters, "find" | "prune">;
  /** The subnets that a node owns although a host uses a part of them itself. */
  readonly conflicts: () => Promise<Observation["conflicts"]>;
  /** The time in ms since 1970. */
  readonly now: () => number;
  /** A monotonic clock, in ms. */
  readonly uptimeMs: () => number;
  /** Interval of the sign of life, in ms. Default: 5,000. */
  readonly beatIntervalMs?: number;
}

/** An event that this agent observed. */
interface Observed extends StoredEvent {
  /** Uptime in ms. */
  readonly seenAtMs: number;
}

/**
 * Turns changes of the registry into events. Of several agents that host one
 * registry, one records what all of them observe; the others keep what they
 * observe until they see that agent alive, and take over when it falls silent.
 */
export class Recorder {
  readonly #options: RecorderOptions;
  readonly #stop = new AbortController();
  /** Undefined where no other agent could record. */
  readonly #beating: PeriodicTask | undefined;
  readonly #looking: PeriodicTask;
  readonly #following: Promise<void>;
  readonly #view = new ClusterView();
  #conflicts: Observation["conflicts"] = new Map();
  #isFollowing = false;
  #observation: Observation | undefined;
  #pending: Observed[] = [];
  #isRecording: boolean;
  #recording: Promise<void> = Promise.resolve();
  /** The last sign of life, and when it was first seen here. */
  #seen: { readonly version: Version | null; readonly atMs: number };

  constructor(options: RecorderOptions) {
    this.#options = options;
    this.#seen = { version: null, atMs: -Infinity };
    this.#isRecording = !options.isShared;
    this.#beating = options.isShared
      ? startPeriodicTask("say that this agent records events", {
        intervalMs: options.beatIntervalMs ?? BEAT_INTERVAL_MS,
        run: () => this.#beat(),
      })
      : undefined;
    this.#looking = startPeriodicTask("look for subnets in conflict", {
      intervalMs: LOOK_INTERVAL_MS,
      run: async () => {
        this.#conflicts = await options.conflicts();
        this.#observe();
      },
    });
    this.#following = this.#follow();
  }

  /** Stops recording. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#beating?.stop();
    await this.#looking.stop();
    await this.#following;
    await this.#recording;
  }

  #follow(): Promise<void> {
    const { signal } = this.#stop;
    const { watch } = this.#options;
    return followWatch({
      signal,
      backOff: new BackOff({ firstMs: REWATCH_MS }),
      open: () => watch(signal),
      onEvent: (event) => {
        this.#view.apply(event);
        this.#isFollowing = true;
        this.#observe();
      },
      onFailure: (error) =>
        log.debug("Watching the registry for its events again: {error}", {
          error,
        }),
    });
  }

  #observe(): void {
    // Without a snapshot of the registry everything would seem to be new.
    if (!this.#isFollowing) return;
    const view = this.#view;
    const { reports, events, now, uptimeMs } = this.#options;
    const before = this.#observation;
    const after: Observation = {
      nodes: new Map(view.nodes),
      routes: new Map(
        [...view.routes.values()].map(({ destination, target }) => {
          const cidr = formatPrefix(destination);
          return [cidr, { destination: cidr, target: formatAddress(target) }];
        }),
      ),
      conflicts: this.#conflicts,
    };
    this.#observation = after;
    if (!before?.nodes.keys().every((name) => after.nodes.has(name))) {
      const names = new Set(after.nodes.keys());
      reports.keepOnly(names);
      events.keepOnly(names);
    }
    // The first observation after a start shows the present, not a change.
    if (!before) return;
    const times = { atMs: now(), seenAtMs: uptimeMs() };
    const found = diffObservations(before, after);
    this.#pending.push(
      ...found.map((event) => ({ ...event, ...times, by: "" })),
    );
    this.#pending.splice(0, this.#pending.length - MAX_PENDING);
    if (this.#isRecording) this.#record();
  }

  /** @param isTakeover the agent that recorded until now may have recorded some of them */
  #record({ isTakeover = false } = {}): void {
    const { events, requesters } = this.#options;
    const pending = this.#pending;
    this.#pending = [];
    this.#recording = this.#recording.then(async () => {
      const left = isTakeover ? await this.#unrecorded(pending) : pending;
      for (const { atMs, by: _, seenAtMs: __, ...event } of left) {
        const by = await requesters.find(event);
        events.add([by === "" ? event : { ...event, by }], atMs);
      }
    });
  }

  /** The events that another agent has not recorded. */
  async #unrecorded(pending: readonly Observed[]): Promise<Observed[]> {
    if (pending.length === 0) return [];
    const { events } = this.#options;
    const sinceMs = Math.max(0, pending[0]!.atMs - SAME_EVENT_MS);
    try {
      const query = { node: "", limit: MAX_PENDING, sinceMs };
      const recorded = [...(await events.list(query)).events].reverse();
      return pending.filter((event) => {
        const at = recorded.findIndex((other) => isSame(event, other));
        // Each stands for one of them: a route may come, go and come again.
        if (at >= 0) recorded.splice(at, 1);
        return at < 0;
      });
    } catch (error) {
      log.debug("Cannot read recorded events: {error}", { error });
      return [...pending];
    }
  }

  /** Records on, takes over, or sees that another agent records. */
  async #beat(): Promise<void> {
    const { store, id, uptimeMs } = this.#options;
    const entry = await store.get(RECORDER_KEY);
    const version = entry?.version ?? null;
    if (version !== this.#seen.version) {
      const before = this.#seen;
      this.#seen = { version, atMs: uptimeMs() };
      if (entry && entry.value !== id) {
        this.#isRecording = false;
        // The recording agent was alive after the sign before, and recorded what
        // came until then. It may have ended since.
        this.#pending = this.#pending.filter(({ seenAtMs }) =>
          seenAtMs >= before.atMs
        );
        return;
      }
    }
    const isMine = entry === null || entry.value === id;
    if (!isMine && uptimeMs() - this.#seen.atMs < SILENT_MS) return;
    const { committed } = await store.commit({
      checks: [{ key: RECORDER_KEY, version }],
      puts: [{ key: RECORDER_KEY, value: id }],
    });
    if (!committed) return;
    const isTakeover = !this.#isRecording;
    this.#isRecording = true;
    this.#record({ isTakeover });
    await this.#options.requesters.prune();
  }
}

function isSame(a: StoredEvent, b: StoredEvent): boolean {
  return a.kind === b.kind && a.node === b.node && a.subject === b.subject &&
    Math.abs(a.atMs - b.atMs) <= SAME_EVENT_MS;
}
