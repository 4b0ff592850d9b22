import { getLogger } from "@logtape/logtape";
import type { Entry, JsonValue, Key, Store } from "../store/store.ts";
import { isObject } from "../base/json_reader.ts";
import type { AuditLog, AuditRecord } from "./audit.ts";
import { Batch } from "../ledger/model.ts";
import { type PeriodicTask, startPeriodicTask } from "../base/periodic_task.ts";
import { readEntry } from "../state/read_entry.ts";

/** Prefix of the records, in order of time. */
export const AUDIT_PREFIX: Key = ["audit"];

/** How long a record that is not durable waits for others, in ms. */
const GATHER_MS = 250;
/** Time to the next attempt after the store has failed, in ms. */
const RETRY_MS = 1_000;
/** Most records that wait for the store. Only the log has the others. */
const MAX_WAITING = 10_000;
/** Records that the shares are parts of. A full audit takes at most 1.8 times as many, about 270 MB. */
const MAX_RECORDS = 500_000;
/** Longest text of a record, in characters. */
const MAX_TEXT = 1_024;
const PRUNE_INTERVAL_MS = 3_600_000;
const MIN_PRUNE_INTERVAL_MS = 1_000;
/** Interval between checks for too many records, in ms. */
const LOOK_INTERVAL_MS = 10_000;
/** The part of `maxRecords` whose arrival starts a pruning. */
const PRUNE_SHARE = 1 / 10;
/** Most records that one commit of the pruning removes. */
const PRUNE_BATCH = 400;

const log = getLogger(["stellar-net", "audit"]);

/** Selects records. */
export interface AuditQuery {
  /** At most so many. */
  readonly limit: number;
  /** Only what was answered at or after this time. */
  readonly sinceMs?: number | undefined;
  /** Only what was answered at or before this time. */
  readonly untilMs?: number | undefined;
  /** Only of this caller; empty: all. */
  readonly caller: string;
  /** Only of this call; empty: all. */
  readonly call: string;
  /** Only what was refused or failed. */
  readonly hasFailed: boolean;
}

/** What an audit is kept with. */
export interface AuditStoreOptions {
  /** The agent's own. */
  readonly store: Store;
  /** How long records are kept, in ms. */
  readonly keepMs: number;
  /** Records that the shares are parts of. Default: half a million. */
  readonly maxRecords?: number;
  /** How often it is looked whether more have come than that allows, in ms. Default: 10,000. */
  readonly lookIntervalMs?: number;
  /** The time in ms since 1970. */
  readonly now: () => number;
}

/**
 * Records changes in the log and in the agent's own store. Each caller has a
 * share of the store, so that nobody pushes out the records of operators. While
 * the store fails, calls are answered, records wait up to a bound, and the log
 * has them at once.
 */
export class AuditStore implements AuditLog {
  readonly #options: AuditStoreOptions;
  readonly #pruning: PeriodicTask;
  /** Tells the records of one millisecond apart, those before a restart too. */
  #sequence = crypto.getRandomValues(new Uint32Array(1))[0]! * 2 ** 20;
  /** What is not stored yet, the oldest first. */
  #waiting: { readonly key: Key; readonly value: JsonValue }[] = [];
  #waitingShares = new ShareCount(MAX_WAITING);
  #timer: ReturnType<typeof setTimeout> | undefined;
  #writing: Promise<void> = Promise.resolve();
  /** The writing behind that, which takes all that waits by then. */
  #next: Promise<void> | undefined;
  #unstored = 0;
  /** The last failure to store records; empty after a success. */
  #problem = "";
  /** Stored since it was looked for old ones last, and when that is due next by the time alone. */
  #unpruned = 0;
  #pruneAtMs = -Infinity;
  #isStopped = false;

  private constructor(options: AuditStoreOptions) {
    this.#options = options;
    const { keepMs, lookIntervalMs = LOOK_INTERVAL_MS } = options;
    const intervalMs = Math.min(
      Math.max(keepMs, MIN_PRUNE_INTERVAL_MS),
      PRUNE_INTERVAL_MS,
    );
    this.#pruning = startPeriodicTask("remove old records of the audit", {
      intervalMs: Math.min(lookIntervalMs, intervalMs),
      run: () => this.#look(intervalMs),
    });
  }

  /** Starts to keep records, and to remove old ones. It has to be stopped before its store is closed. */
  static start(options: AuditStoreOptions): AuditStore {
    return new AuditStore(options);
  }

  async record(
    record: AuditRecord,
    { isDurable }: { readonly isDurable: boolean },
  ): Promise<void> {
    const { kind, owner } = shareOf(record);
    const isCrowded = kind !== "operator" &&
      !this.#waitingShares.add({ kind, owner });
    if (isCrowded || this.#waiting.length >= MAX_WAITING) {
      // Only the log has the record.
      tell(record, { isRoutine: false });
      this.#unstored++;
      return;
    }
    tell(record, { isRoutine: !isDurable && record.outcome === "ok" });
    const { atMs, ...texts } = record;
    this.#waiting.push({
      key: [...AUDIT_PREFIX, atMs, this.#sequence++],
      value: Object.fromEntries(
        Object.entries(texts).map(([name, text]) => [name, cut(text)]),
      ),
    });
    if (isDurable) await this.#write();
    else this.#writeLater(GATHER_MS);
  }

  /** Reads records, the latest first. @throws {NetError} as the store does */
  async list(query: AuditQuery): Promise<AuditRecord[]> {
    await this.#write();
    const records: AuditRecord[] = [];
    const { store } = this.#options;
    const { untilMs } = query;
    const after = untilMs !== undefined && {
      after: [...AUDIT_PREFIX, untilMs + 1],
    };
    const options = { reverse: true, ...after };
    for await (const entry of store.list(AUDIT_PREFIX, options)) {
      if (Number(entry.key[1]) < (query.sinceMs ?? 0)) break;
      const record = readAudit(entry);
      if (!matches(record, query)) continue;
      records.push(record);
      if (records.length === query.limit) break;
    }
    return records;
  }

  /** Stores what waits, and ends. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#pruning.stop();
    await this.#write();
  }

  #writeLater(ms: number): void {
    this.#timer ??= setTimeout(() => void this.#write(), ms);
  }

  /** Stores what waits. What comes during a commit goes into the next, together. */
  #write(): Promise<void> {
    this.#next ??= this.#writing.then(() => {
      this.#next = undefined;
      return this.#writing = this.#writeWaiting();
    });
    return this.#next;
  }

  async #writeWaiting(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const records = this.#waiting;
    this.#waiting = [];
    this.#waitingShares = new ShareCount(MAX_WAITING);
    const { store } = this.#options;
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
      if (this.#problem !== "") log.info("Records are stored again");
      this.#problem = "";
    } catch (error) {
      const count = records.length - stored;
      const problem = String(error);
      // A full disk may last for days.
      if (problem !== this.#problem) {
        log.error("Cannot store {count} records, trying again: {error}", {
          count,
          error,
        });
      }
      this.#problem = problem;
      this.#waiting = records.slice(stored).concat(this.#waiting);
      if (!this.#isStopped) this.#writeLater(RETRY_MS);
      return;
    }
    if (this.#unstored === 0) return;
    log.error("{count} records were not stored: they are in the log alone", {
      count: this.#unstored,
    });
    this.#unstored = 0;
  }

  /** Removes old records where that is due: who makes many does not fill the disk. */
  async #look(intervalMs: number): Promise<void> {
    const { maxRecords = MAX_RECORDS } = this.#options;
    const isFull = this.#unpruned > maxRecords * PRUNE_SHARE;
    if (!isFull && performance.now() < this.#pruneAtMs) return;
    this.#unpruned = 0;
    await this.#prune();
    this.#pruneAtMs = performance.now() + intervalMs;
  }

  /** Removes records that are too old, or beyond the share of their caller. */
  async #prune(): Promise<void> {
    const { store, keepMs, maxRecords = MAX_RECORDS, now } = this.#options;
    const beforeMs = now() - keepMs;
    const count = new ShareCount(maxRecords);
    let deletes: Key[] = [];
    const commit = async () => {
      if (deletes.length > 0) await store.commit({ deletes });
      deletes = [];
    };
    const limit = Math.min(PRUNE_BATCH, store.limits.maxMutations);
    for await (const entry of store.list(AUDIT_PREFIX, { reverse: true })) {
      const isKept = Number(entry.key[1]) >= beforeMs &&
        count.add(shareOf(readShared(entry)));
      if (isKept) continue;
      deletes.push(entry.key);
      if (deletes.length === limit) await commit();
    }
    await commit();
  }
}

/** The fields that decide on the share of a record; empty in a damaged one. */
function readShared({ value }: Entry) {
  const fields = isObject(value) ? value : {};
  const text = (field: unknown) => typeof field === "string" ? field : "";
  const { caller, from, call } = fields;
  return { caller: text(caller), from: text(from), call: text(call) };
}

/**
 * Logs a record in one line.
 *
 * @param isRoutine a call for a container that succeeded: at debug level, since
 * a busy host has thousands
 */
function tell(
  record: AuditRecord,
  { isRoutine }: { readonly isRoutine: boolean },
): void {
  const { caller, from, call, subject, outcome, message } = record;
  const write = isRoutine ? log.debug.bind(log) : log.info.bind(log);
  write(
    `{caller}${from && " at {from}"} called {call}${
      subject && " for {subject}"
    }: {outcome}${message && ": {why}"}`,
    // In JSON they stand beside the message.
    { caller, from, call, subject, outcome, why: message },
  );
}

function cut(text: string): string {
  return text.length <= MAX_TEXT ? text : `${text.slice(0, MAX_TEXT - 1)}…`;
}

function matches(record: AuditRecord, query: AuditQuery): boolean {
  const { caller, call, hasFailed } = query;
  return (caller === "" || record.caller === caller) &&
    (call === "" || record.call === call) &&
    (!hasFailed || record.outcome !== "ok");
}

function readAudit(entry: Entry): AuditRecord {
  return readEntry(entry, "audit record", (record) => ({
    atMs: Number(entry.key[1]),
    caller: record.text("caller"),
    from: record.text("from"),
    call: record.text("call"),
    subject: record.text("subject"),
    outcome: record.text("outcome") as AuditRecord["outcome"],
    message: record.text("message"),
  }));
}

/**
 * The share of the audit that a record counts against. Records of operators and
 * of this host never make room for those of anybody else.
 */
export interface AuditShare {
  readonly kind: keyof typeof LIMITS;
  /** Whose records count together: a node, or the address of a caller without a certificate. */
  readonly owner: string;
}

/** Calls for containers. There are so many that they have a share of their own. */
const CONTAINER_CALLS: ReadonlySet<string> = new Set([
  ...["Allocate", "Release", "ReleaseOthers", "AllocateIP", "ReleaseIP"],
]);

/** Most records of a kind, and of one owner in it, in parts of the records that a store keeps. */
const LIMITS = {
  operator: { all: 1, each: 1 },
  container: { all: 1 / 2, each: 1 / 2 },
  member: { all: 1 / 4, each: 1 / 50 },
  anonymous: { all: 1 / 20, each: 1 / 500 },
} as const;

/** The share of a record. */
export function shareOf(
  { caller, from, call }: Pick<AuditRecord, "caller" | "from" | "call">,
): AuditShare {
  const [role] = caller.split(" ");
  if (role === "node" || role === "readonly") {
    return { kind: "member", owner: caller };
  }
  if (caller === "anonymous" || caller === "refused") {
    return { kind: "anonymous", owner: from };
  }
  return {
    kind: CONTAINER_CALLS.has(call) ? "container" : "operator",
    owner: "",
  };
}

/** Counts records against their shares, the latest first. */
export class ShareCount {
  readonly #maxRecords: number;
  readonly #counts = new Map<string, number>();

  /** @param maxRecords the records that the audit has room for */
  constructor(maxRecords: number) {
    this.#maxRecords = maxRecords;
  }

  /** Counts a record, and returns whether its share has room for it. */
  add({ kind, owner }: AuditShare): boolean {
    const { all, each } = LIMITS[kind];
    const ofOwner = this.#count(`${kind} ${owner}`);
    if (ofOwner > this.#limit(each)) return false;
    return this.#count(kind) <= this.#limit(all);
  }

  #limit(part: number): number {
    return Math.max(1, Math.floor(this.#maxRecords * part));
  }

  #count(key: string): number {
    const count = (this.#counts.get(key) ?? 0) + 1;
    this.#counts.set(key, count);
    return count;
  }
}
