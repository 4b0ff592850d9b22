import { getLogger } from "@logtape/logtape";
import { type PeriodicTask, startPeriodicTask } from "../base/periodic_task.ts";
import { BackOff, followWatch } from "../base/retry.ts";
import { formatAddress } from "../net/address.ts";
import { formatPrefix } from "../net/prefix.ts";
import { type ClusterEvent, ClusterView } from "../registry/feed.ts";
import type { Key, Store, Version } from "../store/store.ts";
import {
  diffObservations,
  diffReports,
  type Observation,
} from "./plan/events.ts";
import type { EventLog, StoredEvent } from "./event_log.ts";
import type { Reports } from "./reports.ts";

/** Key of the agent that records what all of them observe. */
const RECORDER_KEY: Key = ["recorder"];
/** Interval of the sign of life of the recording agent, in ms. */
const BEAT_INTERVAL_MS = 5_000;
/** Silence after which another agent records, in ms. */
const SILENT_MS = 15_000;
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
  /** The time in ms since 1970. */
  readonly now: () => number;
  /** A clock in ms that nobody sets. */
  readonly uptimeMs: () => number;
}

/**
 * Turns changes of the registry and reports of hosts into events. Of several
 * agents that host one registry, each records the reports that it receives, and
 * one records what all of them observe; the others keep what they observe until
 * they see that agent alive, and take over when it falls silent.
 */
export class Recorder {
  readonly #options: RecorderOptions;
  readonly #stop = new AbortController();
  /** Undefined where no other agent could record. */
  readonly #beating: PeriodicTask | undefined;
  readonly #following: Promise<void>;
  #observation: Observation | undefined;
  #pending: StoredEvent[] = [];
  #isRecording: boolean;
  /** The last sign of life, and when it was first seen here. */
  #seen: { readonly version: Version | null; readonly atMs: number };

  constructor(options: RecorderOptions) {
    this.#options = options;
    this.#seen = { version: null, atMs: -Infinity };
    options.reports.listen((node, before, after) => {
      options.events.add(diffReports(node, before, after));
    });
    this.#isRecording = !options.isShared;
    this.#beating = options.isShared
      ? startPeriodicTask("say that this agent records events", {
        intervalMs: BEAT_INTERVAL_MS,
        run: () => this.#beat(),
      })
      : undefined;
    this.#following = this.#follow();
  }

  /** Stops recording. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#beating?.stop();
    await this.#following;
  }

  #follow(): Promise<void> {
    const { signal } = this.#stop;
    const { watch } = this.#options;
    const view = new ClusterView();
    return followWatch({
      signal,
      backOff: new BackOff({ firstMs: REWATCH_MS }),
      open: () => watch(signal),
      onEvent: (event) => {
        view.apply(event);
        this.#observe(view);
      },
      onFailure: (error) =>
        log.debug("Watching the registry for its events again: {error}", {
          error,
        }),
    });
  }

  #observe(view: ClusterView): void {
    const { reports, now } = this.#options;
    const before = this.#observation;
    const after: Observation = {
      nodes: new Map(view.nodes),
      routes: new Map(
        [...view.routes.values()].map(({ destination, target }) => {
          const cidr = formatPrefix(destination);
          return [cidr, { destination: cidr, target: formatAddress(target) }];
        }),
      ),
    };
    this.#observation = after;
    reports.keepOnly(new Set(after.nodes.keys()));
    // The first observation after a start shows the present, not a change.
    if (!before) return;
    const atMs = now();
    const found = diffObservations(before, after);
    this.#pending.push(...found.map((event) => ({ ...event, atMs })));
    this.#pending.splice(0, this.#pending.length - MAX_PENDING);
    if (this.#isRecording) this.#record();
  }

  #record(): void {
    for (const { atMs, ...event } of this.#pending) {
      this.#options.events.add([event], atMs);
    }
    this.#pending = [];
  }

  /** Records on, takes over, or sees that another agent records. */
  async #beat(): Promise<void> {
    const { store, id, uptimeMs } = this.#options;
    const entry = await store.get(RECORDER_KEY);
    const version = entry?.version ?? null;
    if (version !== this.#seen.version) {
      this.#seen = { version, atMs: uptimeMs() };
      if (entry && entry.value !== id) {
        this.#isRecording = false;
        // The recording agent was alive until now: it has recorded these.
        this.#pending = [];
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
    this.#isRecording = true;
    this.#record();
  }
}
