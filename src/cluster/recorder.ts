import { getLogger } from "@logtape/logtape";
import { NetError } from "../base/error.ts";
import { type PeriodicTask, startPeriodicTask } from "../base/periodic_task.ts";
import { BackOff, followWatch } from "../base/retry.ts";
import { formatAddress } from "../net/address.ts";
import { formatPrefix } from "../net/prefix.ts";
import { type ClusterEvent, ClusterView } from "../registry/feed.ts";
import type { Entry, JsonValue, Key, Store, Version } from "../store/store.ts";
import {
  type ClusterHappening,
  diffObservations,
  diffReports,
  type EventKind,
  type Observation,
} from "./plan/events.ts";
import type { Report } from "./plan/report.ts";
import { isObject } from "../base/json_reader.ts";
import {
  createSharedRoom,
  RecordLog,
  type RecordRoom,
} from "../ledger/record_log.ts";
import { readEntry } from "../state/read_entry.ts";
import { DAY_MS } from "./plan/forecast.ts";

/** Key of the agent that records what all of them observe. */
const RECORDER_KEY: Key = ["recorder"];
/** Interval of the sign of life of the recording agent, in ms. */
const BEAT_INTERVAL_MS = 5_000;
/** Silence after which another agent records, in ms. */
const SILENT_MS = 15_000;
/** Time between two reports of a host that count, in ms. */
const MIN_REPORT_INTERVAL_MS = 1_000;
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

/** A report and the time at which it was received. */
export interface ReceivedReport {
  readonly report: Report;
  /** In ms since 1970. */
  readonly receivedAtMs: number;
}

/** A listener for reports. */
export type OnReport = (
  node: string,
  before: Report | undefined,
  after: Report,
) => void;

/**
 * The last report of each host, at an agent that hosts the registry. They are
 * in memory only: after a restart, hosts send them again.
 */
export class Reports {
  readonly #now: () => number;
  readonly #received = new Map<string, ReceivedReport>();
  #onReport: OnReport = () => {};

  constructor(options: { readonly now: () => number }) {
    this.#now = options.now;
  }

  /** Sets the one listener. */
  listen(onReport: OnReport): void {
    this.#onReport = onReport;
  }

  /**
   * Keeps the report of a node in place of the one before.
   *
   * @returns false if the one before came less than a second ago: a host that
   * sends reports without end keeps nobody busy, and sends the last one again
   */
  receive(node: string, report: Report): boolean {
    const before = this.#received.get(node);
    const receivedAtMs = this.#now();
    const sinceMs = receivedAtMs - (before?.receivedAtMs ?? -Infinity);
    // A clock that was set back does not count.
    if (sinceMs >= 0 && sinceMs < MIN_REPORT_INTERVAL_MS) return false;
    this.#received.set(node, { report, receivedAtMs });
    this.#onReport(node, before?.report, report);
    return true;
  }

  /** The last report of a node; undefined if there is none. */
  get(node: string): ReceivedReport | undefined {
    return this.#received.get(node);
  }

  /** Forgets the reports of nodes that are not known any more. */
  keepOnly(nodes: ReadonlySet<string>): void {
    for (const node of this.#received.keys()) {
      if (!nodes.has(node)) this.#received.delete(node);
    }
  }
}

/** Prefix of the events in the registry's store, in order of time. */
export const EVENT_PREFIX: Key = ["event"];
/** Events of hosts that the store keeps, beside those of the cluster as a whole. */
const MAX_EVENTS = 10_000;
/** No host pushes out the events of others: what it does and reports makes them. */
const LIMITS = {
  cluster: { all: 1 / 2, each: 1 / 2 },
  host: { all: 1, each: 1 / 10 },
} as const;
/** Age up to which the store keeps events, in ms. */
const KEEP_MS = 30 * DAY_MS;

/** An event as it is kept. */
export interface StoredEvent extends ClusterHappening {
  /** In ms since 1970. */
  readonly atMs: number;
}

/** Selects events. */
export interface EventQuery {
  readonly sinceMs?: number;
  readonly untilMs?: number;
  /** Only events of this node; empty: all. */
  readonly node: string;
  /** At most this many, and fewer where they are long. */
  readonly limit: number;
  /** Where the page before ended. */
  readonly after?: EventPosition;
}

/** The place of an event among all events: its time, and its number. */
export type EventPosition = readonly [atMs: number, sequence: number];

/** Characters of the events of a page: three bytes each fit into an answer of 4 MiB. */
const MAX_PAGE_LENGTH = 1_000_000;

/** A page of events, the latest first. */
export interface EventPage {
  readonly events: readonly StoredEvent[];
  /** Where the next page begins; undefined at the end. */
  readonly next: EventPosition | undefined;
}

/** The events of the cluster, kept by the agents that host its registry. */
export class EventLog {
  readonly #records: RecordLog;
  readonly #store: Store;
  readonly #now: () => number;

  constructor(
    options: {
      readonly store: Store;
      readonly now: () => number;
      /** A number from which this agent counts its records. */
      readonly sequence: number;
      /** Whether this agent removes old events; default: true. */
      readonly isWriter?: boolean;
      /** Default: 10,000. */
      readonly maxEvents?: number;
    },
  ) {
    const { store, now, sequence, isWriter = true } = options;
    const { maxEvents = MAX_EVENTS } = options;
    this.#now = now;
    this.#store = store;
    this.#records = new RecordLog({
      ...{ store, now, sequence, isWriter },
      ...{ prefix: EVENT_PREFIX, name: "events" },
      ...{ keepMs: KEEP_MS, maxRecords: maxEvents, createRoom },
    });
  }

  /** Adds events. It neither waits for the store nor fails with it. */
  add(events: readonly ClusterHappening[], atMs: number = this.#now()): void {
    for (const event of events) this.#records.add(atMs, { ...event });
  }

  /**
   * Reads how far the log is.
   *
   * @returns `lastAtMs`: time of the latest stored event, in ms since 1970;
   * undefined when there is none or the store does not answer. `waiting`: number
   * of events that wait for the store
   */
  async state(): Promise<
    { readonly lastAtMs: number | undefined; readonly waiting: number }
  > {
    const { waiting } = this.#records;
    const latest = { reverse: true, limit: 1 };
    try {
      const [last] = await Array.fromAsync(
        this.#store.list(EVENT_PREFIX, latest),
      );
      return { lastAtMs: last && readEvent(last).atMs, waiting };
    } catch (error) {
      if (!(error instanceof NetError)) throw error;
      return { lastAtMs: undefined, waiting };
    }
  }

  /** Reads a page of events. @throws {NetError} as the store does */
  async list(query: EventQuery): Promise<EventPage> {
    const { node, limit, after, ...range } = query;
    const events: StoredEvent[] = [];
    let last: EventPosition | undefined;
    let length = 0;
    const entries = this.#records.list({
      ...range,
      ...after && { after: [...EVENT_PREFIX, ...after] },
    });
    for await (const entry of entries) {
      const event = readEvent(entry);
      if (node !== "" && event.node !== node) continue;
      length += JSON.stringify(entry.value).length;
      const isFull = events.length === limit || length > MAX_PAGE_LENGTH;
      if (isFull && events.length > 0) return { events, next: last };
      events.push(event);
      last = [event.atMs, Number(entry.key.at(-1))];
    }
    return { events, next: undefined };
  }

  /** Stores the events that wait and stops. */
  stop(): Promise<void> {
    return this.#records.stop();
  }
}

function createRoom(maxEvents: number): RecordRoom {
  return createSharedRoom(maxEvents, LIMITS, shareOf);
}

function shareOf(value: JsonValue) {
  const node = isObject(value) ? value["node"] : undefined;
  return typeof node === "string" && node !== ""
    ? { kind: "host", owner: node } as const
    : { kind: "cluster", owner: "" } as const;
}

function readEvent(entry: Entry): StoredEvent {
  return readEntry(entry, "event", (record) => ({
    atMs: Number(entry.key[EVENT_PREFIX.length]),
    kind: record.text("kind") as EventKind,
    node: record.text("node"),
    subject: record.text("subject"),
    text: record.text("text"),
  }));
}
