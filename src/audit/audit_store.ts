import { getLogger } from "@logtape/logtape";
import type { Entry, JsonValue, Key, Store } from "../store/store.ts";
import type { AuditLog, AuditRecord } from "./audit.ts";
import {
  createSharedRoom,
  RecordLog,
  type RecordRoom,
  type RecordShare,
} from "../ledger/record_log.ts";
import { readEntry } from "../state/read_entry.ts";

/** Prefix of the records, in order of time. */
export const AUDIT_PREFIX: Key = ["audit"];

/** Records that the shares are parts of. A full audit takes at most 1.8 times as many, about 270 MB. */
const MAX_RECORDS = 500_000;
/** Longest text of a record, in characters. */
const MAX_TEXT = 1_024;

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

export interface AuditStoreOptions {
  /** The agent's own. */
  readonly store: Store;
  /** Time for which records are kept, in ms. */
  readonly keepMs: number;
  /** Records that the shares are parts of. Default: half a million. */
  readonly maxRecords?: number;
  /** Interval between checks for too many records, in ms. Default: 10,000. */
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
  readonly #records: RecordLog;

  private constructor(options: AuditStoreOptions) {
    this.#records = new RecordLog({
      maxRecords: MAX_RECORDS,
      ...options,
      ...{ prefix: AUDIT_PREFIX, name: "audit records", isWriter: true },
      createRoom: createAuditRoom,
      // Tells the records of one millisecond apart, those before a restart too.
      sequence: crypto.getRandomValues(new Uint32Array(1))[0]! * 2 ** 20,
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
    const { atMs, ...texts } = record;
    const hasRoom = this.#records.add(
      atMs,
      Object.fromEntries(
        Object.entries(texts).map(([name, text]) => [name, cut(text)]),
      ),
    );
    // Without room, only the log has the record.
    const isRoutine = hasRoom && !isDurable && record.outcome === "ok";
    tell(record, { isRoutine });
    if (hasRoom && isDurable) await this.#records.flush();
  }

  /** Reads records, the latest first. @throws {NetError} as the store does */
  async list(query: AuditQuery): Promise<AuditRecord[]> {
    const records: AuditRecord[] = [];
    const { sinceMs, untilMs } = query;
    const range = {
      sinceMs,
      untilMs: untilMs === undefined ? undefined : untilMs + 1,
    };
    for await (const entry of this.#records.list(range)) {
      const record = readAudit(entry);
      if (!matches(record, query)) continue;
      records.push(record);
      if (records.length === query.limit) break;
    }
    return records;
  }

  /** Stores the records that wait and stops. */
  stop(): Promise<void> {
    return this.#records.stop();
  }
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

/** Calls for containers. There are so many that they have a share of their own. */
const CONTAINER_CALLS: ReadonlySet<string> = new Set([
  ...["Allocate", "Release", "ReleaseOthers", "AllocateIP", "ReleaseIP"],
]);

const LIMITS = {
  operator: { all: 1, each: 1 },
  container: { all: 1 / 2, each: 1 / 2 },
  member: { all: 1 / 4, each: 1 / 50 },
  anonymous: { all: 1 / 20, each: 1 / 500 },
} as const;

/**
 * Makes the room of an audit: records of operators and of this host never make
 * room for others.
 */
function createAuditRoom(maxRecords: number): RecordRoom {
  return createSharedRoom(maxRecords, LIMITS, shareOf);
}

/** The share of a stored record. A damaged one counts as an operator's. */
function shareOf(value: JsonValue): RecordShare<keyof typeof LIMITS> {
  const fields = (value ?? {}) as Record<string, JsonValue>;
  const caller = textOf(fields["caller"]);
  const [role] = caller.split(" ");
  if (role === "node" || role === "readonly") {
    return { kind: "member", owner: caller };
  }
  if (caller === "anonymous" || caller === "refused") {
    return { kind: "anonymous", owner: textOf(fields["from"]) };
  }
  const isOfContainer = CONTAINER_CALLS.has(textOf(fields["call"]));
  return { kind: isOfContainer ? "container" : "operator", owner: "" };
}

function textOf(field: unknown): string {
  return typeof field === "string" ? field : "";
}
