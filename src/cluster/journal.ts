import { getLogger } from "@logtape/logtape";
import { readEntry } from "../state/read_entry.ts";
import type { Commit, Entry, Key, Store } from "../store/store.ts";
import type { HostEventKind, HostHappening } from "./plan/events.ts";

/** Prefix of a host's events that wait for the registry, by number. */
const PREFIX: Key = ["journal"];
/** Key of the number of the last event, whether it waits or not. */
const LAST_KEY: Key = ["journaled"];
/** Events that wait at most: the oldest go first. */
const MAX_WAITING = 500;
/** Events that one heartbeat carries, which keeps it small. */
const MAX_SENT = 16;
/** Numbers for each ms: a new journal of a host counts on from the old one. */
const PER_MS = 1_024;

const log = getLogger(["stellar-net", "cluster", "journal"]);

/** An entry of the host's own store that is written together with events. */
export type EntryBeside = NonNullable<Commit["puts"]>[number];

/** An event of a host, with its time and number. */
export interface JournalEvent extends HostHappening {
  /** In ms since 1970, by the host's clock. */
  readonly atMs: number;
  /** Rises with each event of the host. */
  readonly number: number;
}

/**
 * The events of a host that has joined a registry: they wait here, also over a
 * restart, until the registry has them.
 */
export class Journal {
  readonly #store: Store;
  readonly #now: () => number;
  #waiting: JournalEvent[];
  #last: number;
  #hasLeft = false;
  #writing: Promise<unknown> = Promise.resolve();

  private constructor(
    { store, now }: JournalOptions,
    { waiting, last }: {
      readonly waiting: JournalEvent[];
      readonly last: number;
    },
  ) {
    this.#store = store;
    this.#now = now;
    this.#waiting = waiting;
    this.#last = last;
  }

  /** Reads the events that wait in the host's store. */
  static async open(options: JournalOptions): Promise<Journal> {
    const waiting: JournalEvent[] = [];
    for await (const entry of options.store.list(PREFIX)) {
      waiting.push(readEvent(entry));
    }
    const entry = await options.store.get(LAST_KEY);
    const last = Math.max(
      waiting.at(-1)?.number ?? 0,
      Number(entry?.value ?? 0),
    );
    return new Journal(options, { waiting, last });
  }

  /**
   * Adds events, and an entry of the same store in one commit. It neither waits
   * for the store nor fails with it.
   */
  add(events: readonly HostHappening[], entry?: EntryBeside): void {
    const puts = entry ? [entry] : [];
    if (this.#hasLeft) {
      if (entry) this.#write({ puts });
      return;
    }
    const atMs = this.#now();
    const added = events.map((event) => {
      this.#last = Math.max(this.#last + 1, this.#now() * PER_MS);
      return { ...event, atMs, number: this.#last };
    });
    this.#waiting.push(...added);
    const dropped = this.#waiting.splice(0, this.#waiting.length - MAX_WAITING);
    this.#write({
      puts: [
        ...puts,
        ...added.map(({ number, ...event }) => ({
          key: [...PREFIX, number],
          value: { ...event },
        })),
        // A clock that was set back must not give a number again that the
        // registry has: it would take the event for one that it knows.
        { key: LAST_KEY, value: this.#last },
      ],
      deletes: dropped.map(({ number }) => [...PREFIX, number]),
    });
  }

  /** The oldest events that wait. */
  get oldest(): readonly JournalEvent[] {
    return this.#waiting.slice(0, MAX_SENT);
  }

  /** The registry has the events up to a number. */
  acknowledge(number: number): void {
    const sent = this.#waiting.filter((event) => event.number <= number);
    if (sent.length === 0) return;
    this.#waiting = this.#waiting.filter((event) => event.number > number);
    this.#write({ deletes: sent.map(({ number }) => [...PREFIX, number]) });
  }

  /** Forgets the events that wait, and those to come: the host has left the registry. */
  forget(): void {
    this.#hasLeft = true;
    this.acknowledge(Infinity);
  }

  /** Waits until the store has what was added. */
  async stop(): Promise<void> {
    await this.#writing;
  }

  #write(commit: Parameters<Store["commit"]>[0]): void {
    this.#writing = this.#writing.then(() => this.#store.commit(commit))
      .catch((error) =>
        log.warn("Cannot store events of this host: {error}", { error })
      );
  }
}

export interface JournalOptions {
  /** The host's own store. */
  readonly store: Store;
  /** The time in ms since 1970. */
  readonly now: () => number;
}

function readEvent(entry: Entry): JournalEvent {
  return readEntry(entry, "event of this host", (record) => ({
    number: Number(entry.key.at(-1)),
    atMs: record.count("atMs"),
    kind: record.text("kind") as HostEventKind,
    node: record.text("node"),
    subject: record.text("subject"),
    text: record.text("text"),
  }));
}
