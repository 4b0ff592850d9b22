import { getLogger } from "@logtape/logtape";
import { type PeriodicTask, startPeriodicTask } from "../base/periodic_task.ts";
import type { Entry, JsonValue, Key, Store } from "../store/store.ts";
import { Batch } from "./model.ts";

/** How long a record waits for others before it is stored, in ms. */
const GATHER_MS = 250;
/** Records that wait for a store that fails; the oldest make room. */
const MAX_WAITING = 10_000;
const PRUNE_INTERVAL_MS = 60_000;
/** Records that one commit of the pruning removes at most. */
const PRUNE_BATCH = 400;

const log = getLogger(["stellar-net", "records"]);

/** Options of a log of records. */
export interface RecordLogOptions {
  readonly store: Store;
  /** Prefix of its keys; the time in ms and a number follow. */
  readonly prefix: Key;
  /** Names the records in the agent's log, such as "events". */
  readonly name: string;
  readonly keepMs: number;
  readonly maxRecords: number;
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
  readonly sinceMs?: number;
  /** Only records before this time, in ms since 1970. */
  readonly untilMs?: number;
  /** Only records older than this key. */
  readonly after?: Key;
}

/**
 * Records in order of time, bounded in number and age. Writes are gathered and
 * never block a caller; while the store fails, records wait in memory.
 */
export class RecordLog {
  readonly #options: RecordLogOptions;
  readonly #pruning: PeriodicTask;
  #sequence: number;
  #waiting: { readonly key: Key; readonly value: JsonValue }[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #writing: Promise<void> = Promise.resolve();
  #isStopped = false;

  constructor(options: RecordLogOptions) {
    this.#options = options;
    this.#sequence = options.sequence;
    this.#pruning = startPeriodicTask(`remove old ${options.name}`, {
      intervalMs: PRUNE_INTERVAL_MS,
      run: () => options.isWriter ? this.prune() : Promise.resolve(),
    });
  }

  /** Adds a record; it is stored within some hundred milliseconds. */
  add(atMs: number, value: JsonValue): void {
    const { prefix, name } = this.#options;
    if (this.#waiting.length >= MAX_WAITING) {
      this.#waiting.shift();
      log.error("Dropped the oldest of the {name}: the store fails", { name });
    }
    this.#waiting.push({ key: [...prefix, atMs, this.#sequence++], value });
    this.#writeLater();
  }

  /** Reads records, the latest first. @throws {NetError} as the store does */
  async *list(range: RecordRange = {}): AsyncGenerator<Entry> {
    await this.flush();
    const { store, prefix } = this.#options;
    const { sinceMs = 0, untilMs = Infinity, after } = range;
    const options = { reverse: true, ...after && { after } };
    for await (const entry of store.list(prefix, options)) {
      const atMs = Number(entry.key[prefix.length]);
      if (atMs < sinceMs) return;
      if (atMs < untilMs) yield entry;
    }
  }

  /** Stores the records that wait. A store that fails leaves them waiting. */
  async flush(): Promise<void> {
    await this.#writing;
    await (this.#writing = this.#write());
  }

  /** Removes records that are too old or too many. */
  async prune(): Promise<void> {
    const { store, prefix, keepMs, maxRecords, now } = this.#options;
    let keptBeforeMs = now() - keepMs;
    const latestFirst = { reverse: true, limit: maxRecords + 1 };
    let count = 0;
    for await (const { key } of store.list(prefix, latestFirst)) {
      if (++count <= maxRecords) continue;
      keptBeforeMs = Math.max(keptBeforeMs, Number(key[prefix.length]) + 1);
    }
    const limit = Math.min(PRUNE_BATCH, store.limits.maxMutations);
    while (true) {
      const deletes: Key[] = [];
      for await (const { key } of store.list(prefix, { limit })) {
        if (Number(key[prefix.length]) >= keptBeforeMs) break;
        deletes.push(key);
      }
      if (deletes.length === 0) return;
      await store.commit({ deletes });
    }
  }

  /** Stores the records that wait and stops. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#pruning.stop();
    await this.flush();
    clearTimeout(this.#timer);
  }

  #writeLater(): void {
    if (this.#isStopped) return;
    this.#timer ??= setTimeout(() => void this.flush(), GATHER_MS);
  }

  async #write(): Promise<void> {
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
        stored = end;
      }
    } catch (error) {
      log.error("Cannot store the {name}, trying again: {error}", {
        name,
        error,
      });
      this.#waiting = [...records.slice(stored), ...this.#waiting];
      this.#writeLater();
    }
  }
}
