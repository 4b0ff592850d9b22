import { getLogger } from "@logtape/logtape";
import { type PeriodicTask, startPeriodicTask } from "../base/periodic_task.ts";
import type { Entry, JsonValue, Key, Store } from "../store/store.ts";
import { Batch } from "./model.ts";

/** Time for which a record waits for others before it is stored, in ms. */
const GATHER_MS = 250;
/** Time to the next attempt after the store has failed, in ms. */
const RETRY_MS = 1_000;
/** Records that may wait for a store that fails. */
const MAX_WAITING = 10_000;
const MAX_PRUNE_INTERVAL_MS = 3_600_000;
const MIN_PRUNE_INTERVAL_MS = 1_000;
/** Interval between checks for too many records, in ms. */
const LOOK_INTERVAL_MS = 10_000;
/** The part of `maxRecords` whose arrival starts a pruning. */
const PRUNE_SHARE = 1 / 10;
/** Records that one commit of the pruning removes at most. */
const PRUNE_BATCH = 400;

const log = getLogger(["stellar-net", "records"]);

export interface RecordLogOptions {
  readonly store: Store;
  /** Prefix of its keys; the time in ms and a number follow. */
  readonly prefix: Key;
  /** Names the records in the agent's log, such as "events". */
  readonly name: string;
  readonly keepMs: number;
  readonly maxRecords: number;
  /** Makes room for so many records. Default: in one share. */
  readonly createRoom?: (maxRecords: number) => RecordRoom;
  /** Interval between checks for too many records, in ms. Default: 10,000. */
  readonly lookIntervalMs?: number;
  /** The time in ms since 1970. */
  readonly now: () => number;
  /** Tells apart the records of one millisecond, of several writers too. */
  readonly sequence: number;
  /** Whether this log removes old records; one writer is enough. */
  readonly isWriter: boolean;
}

/** Selects records. */
export interface RecordRange {
  /** Only records at or after this time, in ms since 1970. */
  readonly sinceMs?: number | undefined;
  /** Only records before this time, in ms since 1970. */
  readonly untilMs?: number | undefined;
  /** Only records older than this key. */
  readonly after?: Key;
}

/**
 * Records in order of time, bounded in number and age. Writes are gathered;
 * while the store fails, records wait in memory, up to a bound.
 */
export class RecordLog {
  readonly #options: RecordLogOptions;
  readonly #createRoom: (maxRecords: number) => RecordRoom;
  readonly #pruning: PeriodicTask;
  #sequence: number;
  /** Records that are not stored yet, the oldest first. */
  #waiting: { readonly key: Key; readonly value: JsonValue }[] = [];
  #waitingRoom: RecordRoom;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #writing: Promise<unknown> = Promise.resolve();
  /** The writing after that, of all records that wait by then. */
  #next: Promise<boolean> | undefined;
  /** Records without room since the store failed. */
  #unstored = 0;
  /** The last failure of the store; empty after a success. */
  #problem = "";
  /** Records since the last pruning, and when the next is due however few they are. */
  #unpruned = 0;
  #pruneAtMs = -Infinity;
  #isStopped = false;

  constructor(options: RecordLogOptions) {
    this.#options = options;
    this.#sequence = options.sequence;
    this.#createRoom = options.createRoom ?? createRoom;
    this.#waitingRoom = this.#createRoom(MAX_WAITING);
    const intervalMs = Math.min(
      Math.max(options.keepMs, MIN_PRUNE_INTERVAL_MS),
      MAX_PRUNE_INTERVAL_MS,
    );
    const { lookIntervalMs = LOOK_INTERVAL_MS, isWriter } = options;
    this.#pruning = startPeriodicTask(`remove old ${options.name}`, {
      intervalMs: Math.min(lookIntervalMs, intervalMs),
      run: () => isWriter ? this.#look(intervalMs) : Promise.resolve(),
    });
  }

  /**
   * Adds a record; it is stored within some hundred milliseconds.
   *
   * @param sequence tells it apart from others of that time; a record with both
   * the same takes the place of the other
   * @returns false if too many records wait for the store: this one is lost
   */
  add(
    atMs: number,
    value: JsonValue,
    sequence: number = this.#sequence++,
  ): boolean {
    if (!this.#waitingRoom.add(value)) {
      this.#unstored++;
      return false;
    }
    const key = [...this.#options.prefix, atMs, sequence];
    this.#waiting.push({ key, value });
    this.#writeLater(GATHER_MS);
    return true;
  }

  /** Number of records that are not stored yet. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Reads records, the latest first. @throws {NetError} as the store does */
  async *list(range: RecordRange = {}): AsyncGenerator<Entry> {
    await this.flush();
    const { store, prefix } = this.#options;
    const { sinceMs = 0, untilMs = Infinity, after } = range;
    const before = after ??
      (untilMs < Infinity ? [...prefix, untilMs] : undefined);
    const options = { reverse: true, ...before && { after: before } };
    for await (const entry of store.list(prefix, options)) {
      const atMs = Number(entry.key[prefix.length]);
      if (atMs < sinceMs) return;
      if (atMs < untilMs) yield entry;
    }
  }

  /**
   * Stores the records that wait. A store that fails leaves them waiting.
   *
   * @returns whether the store has all that waited at the call
   */
  flush(): Promise<boolean> {
    this.#next ??= this.#writing.then(() => {
      this.#next = undefined;
      const writing = this.#write();
      this.#writing = writing;
      return writing;
    });
    return this.#next;
  }

  /** Removes records that are too old or have no room. */
  async prune(): Promise<void> {
    const { store, prefix, keepMs, maxRecords, now } = this.#options;
    const keptSinceMs = now() - keepMs;
    const room = this.#createRoom(maxRecords);
    const limit = Math.min(PRUNE_BATCH, store.limits.maxMutations);
    let deletes: Key[] = [];
    for await (const { key, value } of store.list(prefix, { reverse: true })) {
      const isOld = Number(key[prefix.length]) < keptSinceMs;
      if (!isOld && room.add(value)) continue;
      deletes.push(key);
      if (deletes.length < limit) continue;
      await store.commit({ deletes });
      deletes = [];
    }
    if (deletes.length > 0) await store.commit({ deletes });
  }

  /** Stores the records that wait and stops. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#pruning.stop();
    await this.flush();
  }

  #writeLater(ms: number): void {
    if (this.#isStopped) return;
    this.#timer ??= setTimeout(() => void this.flush(), ms);
  }

  /** @returns whether the store has all records that waited */
  async #write(): Promise<boolean> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const records = this.#waiting;
    this.#waiting = [];
    const { store, name } = this.#options;
    let stored = 0;
    try {
      while (stored < records.length) {
        const batch = new Batch(store.limits);
        let end = stored;
        while (end < records.length && !batch.isFull) {
          batch.add({ puts: [records[end++]!] });
        }
        await store.commit(batch.commit());
        this.#unpruned += end - stored;
        stored = end;
      }
    } catch (error) {
      this.#waiting = [...records.slice(stored), ...this.#waiting];
      this.#recount();
      // A full disk may last for days.
      if (String(error) !== this.#problem) {
        log.error("Cannot store {count} {name}, trying again: {error}", {
          count: records.length - stored,
          name,
          error,
        });
      }
      this.#problem = String(error);
      this.#writeLater(RETRY_MS);
      return false;
    }
    this.#recount();
    if (this.#problem !== "") log.info("Storing the {name} again", { name });
    this.#problem = "";
    if (this.#unstored === 0) return true;
    log.error("Could not store {count} {name}: too many waited for the store", {
      count: this.#unstored,
      name,
    });
    this.#unstored = 0;
    return true;
  }

  /** Counts the records that wait. */
  #recount(): void {
    this.#waitingRoom = this.#createRoom(MAX_WAITING);
    for (const { value } of this.#waiting) this.#waitingRoom.add(value);
  }

  /** Prunes if an interval is over or many records have come, so that a busy caller does not fill the disk. */
  async #look(intervalMs: number): Promise<void> {
    const isFull = this.#unpruned > this.#options.maxRecords * PRUNE_SHARE;
    if (!isFull && performance.now() < this.#pruneAtMs) return;
    this.#unpruned = 0;
    await this.prune();
    this.#pruneAtMs = performance.now() + intervalMs;
  }
}

function createRoom(maxRecords: number): RecordRoom {
  const limits = { any: { all: 1, each: 1 } };
  const share = { kind: "any", owner: "" } as const;
  return createSharedRoom(maxRecords, limits, () => share);
}

/** Counts records that share a bounded space. */
export interface RecordRoom {
  /** Counts a record and returns whether there is room for it. */
  add(value: JsonValue): boolean;
}

/** The share of the space that a record counts against. */
export interface RecordShare<Kind extends string = string> {
  readonly kind: Kind;
  /** Whose records of the kind count together; empty if all do. */
  readonly owner: string;
}

/** The room of kinds of records, in parts of the number of records. */
export type RoomLimits<Kind extends string = string> = Readonly<
  Record<Kind, {
    /** All records of the kind. */
    readonly all: number;
    /** The records of one owner. */
    readonly each: number;
  }>
>;

/**
 * Makes room for so many records, in shares: no kind and no owner takes the
 * room of another. The kinds together may have room for more than that number.
 */
export function createSharedRoom<Kind extends string>(
  maxRecords: number,
  limits: RoomLimits<Kind>,
  shareOf: (value: JsonValue) => RecordShare<Kind>,
): RecordRoom {
  const counts = new Map<string, number>();
  const fits = (key: string, part: number) => {
    const count = (counts.get(key) ?? 0) + 1;
    counts.set(key, count);
    return count <= Math.max(1, Math.floor(maxRecords * part));
  };
  return {
    add(value) {
      const { kind, owner } = shareOf(value);
      const { all, each } = limits[kind];
      // Records beyond the owner's share take no room of the kind's.
      return fits(`${kind} ${owner}`, each) && fits(kind, all);
    },
  };
}
