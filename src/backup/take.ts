import { NetError } from "../base/error.ts";
import type { Entry, Key, Store, Version } from "../store/store.ts";
import { AUDIT_PREFIX } from "../audit/audit_store.ts";
import { CLUSTER_PREFIX } from "../state/cluster_records.ts";
import { byAddress, HISTORY_TIME_PREFIX } from "../addresses/history.ts";

/** Prefixes that may have too many entries to read at once. */
const LARGE: readonly Key[] = [AUDIT_PREFIX, HISTORY_TIME_PREFIX];
/** Sorts behind every key that begins with the same name. */
const LAST_PART = Number.MAX_SAFE_INTEGER;

/** When the last backup was complete, in ms since 1970. */
const LAST_BACKUP_KEY: Key = ["agent", "backup"];

/** Records that a backup is complete. @throws {NetError} `unavailable` when the store takes no writes */
export async function recordBackup(store: Store, atMs: number): Promise<void> {
  await store.commit({ puts: [{ key: LAST_BACKUP_KEY, value: atMs }] });
}

/** When the last backup was complete, in ms since 1970; 0 for none. @throws {NetError} `unavailable` */
export async function lastBackupMs(store: Store): Promise<number> {
  const value = (await store.get(LAST_BACKUP_KEY))?.value;
  return typeof value === "number" ? value : 0;
}

/** Options of {@linkcode readState}. */
export interface BackupHolds {
  /** Runs a function while nothing about the cluster changes. */
  readonly holdCluster: <T>(run: () => Promise<T>) => Promise<T>;
}

/**
 * Reads all entries of a state as of one moment, while allocations go on.
 *
 * The moment is that of the snapshot of the addresses; nothing about the cluster
 * changes meanwhile. The history, which may be large, is read afterwards: each
 * record is written once, in one commit with the change that it records, so that
 * its version tells whether it existed at that moment. A record that is pruned
 * meanwhile is missing under both of its keys. The audit records requests, not
 * the state, and is read to its end.
 */
export async function* readState(
  store: Store,
  { holdCluster }: BackupHolds,
): AsyncGenerator<Entry> {
  const { entries, moment } = await holdCluster(async () => {
    let moment = await newestOfHistory(store);
    const entries: Entry[] = [];
    for (const name of await namesOf(store)) {
      if (LARGE.some(([first]) => first === name)) continue;
      const alone = await store.get([name]);
      if (alone) entries.push(alone);
      const below = await snapshot(store, [name]);
      for (const entry of below) entries.push(entry);
      if (name !== "ip" && name !== CLUSTER_PREFIX[0]) continue;
      for (const { version } of below) {
        if (version > moment) moment = version;
      }
    }
    return { entries, moment };
  });
  yield* entries;
  for await (const entry of store.list(HISTORY_TIME_PREFIX)) {
    if (entry.version > moment) continue;
    yield entry;
    yield { ...entry, key: byAddress(entry.key) };
  }
  yield* store.list(AUDIT_PREFIX);
}

/** The entries below a prefix as of one moment: the snapshot of a watch. */
async function snapshot(store: Store, prefix: Key): Promise<readonly Entry[]> {
  const end = new AbortController();
  try {
    for await (const event of store.watch(prefix, { signal: end.signal })) {
      if (event.kind === "snapshot") return event.entries;
    }
  } finally {
    end.abort();
  }
  throw new NetError(
    "unavailable",
    `Cannot read the state in ${store.url}: it is being closed`,
  );
}

/** The version of the newest record of the history; empty: none. */
async function newestOfHistory(store: Store): Promise<Version> {
  const last = { reverse: true, limit: 1 };
  for await (const { version } of store.list(HISTORY_TIME_PREFIX, last)) {
    return version;
  }
  return "";
}

/** The first parts of all keys. */
async function namesOf(store: Store): Promise<(string | number)[]> {
  const names: (string | number)[] = [];
  let after: Key | undefined;
  for (;;) {
    let name: string | number | undefined;
    const page = { limit: 1, ...after && { after } };
    for await (const { key } of store.list([], page)) name = key[0];
    if (name === undefined) return names;
    names.push(name);
    after = [name, LAST_PART];
  }
}
