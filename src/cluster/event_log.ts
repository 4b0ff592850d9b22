import { NetError } from "../base/error.ts";
import { BriefRead } from "../base/brief_read.ts";
import { isObject } from "../base/json_reader.ts";
import {
  createSharedRoom,
  RecordLog,
  type RecordRoom,
} from "../ledger/record_log.ts";
import { readEntry } from "../state/read_entry.ts";
import type { Entry, JsonValue, Key, Store } from "../store/store.ts";
import { acceptEvents, type SentEvent } from "./plan/accept_events.ts";
import type { ClusterHappening, EventKind } from "./plan/events.ts";
import { DAY_MS } from "./plan/forecast.ts";

/** Prefix of the events in the registry's store, in order of time. */
const EVENT_PREFIX: Key = ["event"];
/** Events of hosts that the store keeps, beside those of the cluster as a whole. */
const MAX_EVENTS = 10_000;
/** Shares of these, so that no host crowds out the events of others. */
const LIMITS = {
  cluster: { all: 1 / 2, each: 1 / 2 },
  host: { all: 1, each: 1 / 10 },
} as const;
/** Events of one host that are taken in a second: the rest waits at the host. */
const MAX_PER_SECOND = 64;
/** Age up to which the store keeps events, in ms. */
const KEEP_MS = 30 * DAY_MS;

/** What was taken of the events of one host. */
interface Taken {
  /** The number of the last one. */
  readonly number: number;
  /** When the second began in which events are counted, in ms since 1970. */
  readonly fromMs: number;
  readonly count: number;
}

const NONE_TAKEN: Taken = { number: 0, fromMs: -Infinity, count: 0 };

/** An event as it is kept. */
export interface StoredEvent extends ClusterHappening {
  /** In ms since 1970. */
  readonly atMs: number;
  /** The caller whose request caused it; empty: unknown, or not caused by a request. */
  readonly by: string;
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
  readonly #taken = new Map<string, Taken>();
  readonly #reading = new BriefRead(() => this.#readLast());
  #lastAtMs: number | undefined;

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
  add(
    events: readonly (ClusterHappening & { readonly by?: string })[],
    atMs: number = this.#now(),
  ): void {
    for (const event of events) this.#records.add(atMs, { ...event });
  }

  /**
   * Adds events that a host has sent, each once however often it sends them.
   *
   * @returns the number up to which the store has them; 0 for none
   */
  async take(
    node: string,
    sent: readonly SentEvent[],
  ): Promise<number> {
    const nowMs = this.#now();
    const { number: known, ...before } = this.#taken.get(node) ?? NONE_TAKEN;
    // A clock that was set back begins a second, too.
    const isSameSecond = nowMs >= before.fromMs &&
      nowMs - before.fromMs < 1_000;
    const second = isSameSecond ? before : { fromMs: nowMs, count: 0 };
    let { count } = second;
    let last = known;
    const accepted = acceptEvents(sent, { nowMs, keepMs: KEEP_MS })
      .filter(({ number }) => number > known);
    const hasRoom = accepted.every(({ number, atMs, kind, subject, text }) => {
      // The same key again after a restart of this agent.
      const sequence = (hash(node) * 2 ** 20) + number % 2 ** 20;
      const isTaken = count < MAX_PER_SECOND &&
        this.#records.add(atMs, { kind, node, subject, text }, sequence);
      if (!isTaken) return false;
      count++;
      last = number;
      return true;
    });
    if (hasRoom) {
      last = sent.reduce((most, { number }) => Math.max(most, number), known);
    }
    this.#taken.set(node, { number: last, fromMs: second.fromMs, count });
    return await this.#records.flush() ? last : 0;
  }

  /** Forgets the numbers of events of hosts that are not known any more. */
  keepOnly(nodes: ReadonlySet<string>): void {
    for (const node of this.#taken.keys()) {
      if (!nodes.has(node)) this.#taken.delete(node);
    }
  }

  /**
   * Reads how far the log is. While the store does not answer, it returns soon
   * with what is known.
   *
   * @returns `lastAtMs`: time of the latest stored event that is known, in ms
   * since 1970; undefined when none is. `waiting`: number of events that wait
   * for the store
   */
  async state(): Promise<
    { readonly lastAtMs: number | undefined; readonly waiting: number }
  > {
    try {
      await this.#reading.get();
    } catch (error) {
      if (!(error instanceof NetError)) throw error;
    }
    return { lastAtMs: this.#lastAtMs, waiting: this.#records.waiting };
  }

  async #readLast(): Promise<void> {
    const latest = { reverse: true, limit: 1 };
    const [last] = await Array.fromAsync(
      this.#store.list(EVENT_PREFIX, latest),
    );
    this.#lastAtMs = last && readEvent(last).atMs;
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

  /**
   * Follows the events that are stored from the first answer on, by any agent.
   *
   * @returns first nothing; `missed` where some are not known
   */
  async *follow(
    signal: AbortSignal,
  ): AsyncGenerator<readonly StoredEvent[] | "missed"> {
    let isFirst = true;
    for await (const event of this.#store.watch(EVENT_PREFIX, { signal })) {
      if (event.kind === "changes") {
        yield event.changes.flatMap(({ key, value, version }) =>
          value === null ? [] : [readEvent({ key, value, version })]
        );
      } else yield isFirst ? [] : "missed";
      isFirst = false;
    }
  }

  /** Stores the events that wait and stops. */
  stop(): Promise<void> {
    return this.#records.stop();
  }
}

/** FNV-1a, 32 bits. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) {
    value = Math.imul(value ^ byte, 0x01000193) >>> 0;
  }
  return value;
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
    by: record.optionalText("by") ?? "",
  }));
}
