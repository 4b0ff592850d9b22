import { getLogger } from "@logtape/logtape";
import { NetError } from "../base/error.ts";
import { readEntry } from "./read_entry.ts";
import type { Entry, Key, Store, Version } from "../store/store.ts";
import { Batch, type Writes } from "../ledger/model.ts";

/** Key of the schema of a state. A state without it has version 1. */
export const SCHEMA_KEY: Key = ["agent", "schema"];

/** The change from one version of the state to the next. */
export interface Migration {
  /** The change, for the log. */
  readonly summary: string;
  /**
   * The writes for an entry, undefined for none.
   *
   * The migration calls it for every entry of the version before, and possibly
   * for entries that it has written itself, which it must leave alone.
   */
  readonly migrate: (entry: Entry) => Writes | undefined;
}

/** From version 1 on, each to the next. Never change one: states of that version exist. */
export const MIGRATIONS: readonly Migration[] = [
  { summary: "the state records its version", migrate: () => undefined },
  // The readers give an earlier allocation an id.
  {
    summary: "allocations have ids, and addresses can be reserved",
    migrate: () => undefined,
  },
  // A program that does not know of them would give their addresses out again.
  {
    summary: "a batch of allocations can be on its way to its own records",
    migrate: () => undefined,
  },
];

/** The version that this program writes. */
export const SCHEMA_VERSION: number = MIGRATIONS.length + 1;

/** Most failed commits in a row without progress. */
const MAX_CONFLICTS = 8;

const log = getLogger(["stellar-net", "agent", "schema"]);

/** Under {@linkcode SCHEMA_KEY}. */
interface SchemaRecord {
  /** The version of the entries behind `after`. */
  readonly version: number;
  /** The version that a migration is bringing it to. */
  readonly next?: number;
  /** The last key that has been migrated. */
  readonly after?: Key;
}

/** A state's version; that of the goal once a migration has begun. */
export async function readSchemaVersion(store: Store): Promise<number> {
  const { version, next } = readSchema(await store.get(SCHEMA_KEY));
  return Math.max(version, next ?? 0);
}

/**
 * Brings a state to the version that this program writes. It continues an
 * interrupted migration. A new state gets the newest version at once.
 *
 * @param migrations Default: all of them
 * @throws {NetError} `failed_precondition` when it is newer than this program
 */
export async function migrateState(
  store: Store,
  migrations: readonly Migration[] = MIGRATIONS,
): Promise<void> {
  const newest = migrations.length + 1;
  let conflicts = 0;
  let seen: string | undefined;
  while (conflicts < MAX_CONFLICTS) {
    const entry = await store.get(SCHEMA_KEY);
    const record = readSchema(entry);
    // Another agent that migrates the state brings it closer to the goal.
    const now = JSON.stringify(record);
    if (now !== seen) conflicts = 0;
    seen = now;
    refuseNewer(store, record, newest);
    if (entry && record.version === newest) return;
    const isNew = !entry && await isEmpty(store);
    const isWritten = isNew || record.version === newest
      ? await put(store, entry?.version ?? null, { version: newest }) !== null
      : await step(store, entry, {
        record,
        ...migrations[record.version - 1]!,
      });
    // Another agent on the same store migrated it: read its result.
    if (!isWritten) conflicts++;
  }
  throw new NetError(
    "unavailable",
    `Cannot bring the state in ${store.url} to version ${newest} of its schema: others keep changing it; try again`,
  );
}

/** Migrates to the next version. Returns false when another agent has changed the schema. */
async function step(
  store: Store,
  entry: Entry | null,
  { record, summary, migrate }: Migration & { readonly record: SchemaRecord },
): Promise<boolean> {
  const { version, after } = record;
  const next = version + 1;
  log.info("Migrating the state from version {version} to {next}: {summary}", {
    version,
    next,
    summary,
  });
  let known = entry?.version ?? null;
  let batch = new Batch(store.limits);
  for await (const old of store.list([], after ? { after } : {})) {
    if (isSchema(old.key)) continue;
    const writes = migrate(old);
    if (!writes) continue;
    batch.add(writes);
    if (!batch.isFull) continue;
    const progress = { version, next, after: old.key };
    // Not read again: what another agent has written meanwhile must not be overwritten.
    known = await put(store, known, progress, batch);
    if (known === null) return false;
    batch = new Batch(store.limits);
  }
  return await put(store, known, { version: next }, batch) !== null;
}

/** Writes the schema with other writes. Returns its new version, or null when it has changed meanwhile. */
async function put(
  store: Store,
  known: Version | null,
  record: SchemaRecord,
  batch = new Batch(store.limits),
): Promise<Version | null> {
  batch.add({
    checks: [{ key: SCHEMA_KEY, version: known }],
    puts: [{ key: SCHEMA_KEY, value: { ...record } }],
  });
  const result = await store.commit(batch.commit());
  return result.committed ? result.version : null;
}

function readSchema(entry: Entry | null): SchemaRecord {
  if (!entry) return { version: 1 };
  return readEntry(entry, "schema", (record) => {
    record.count("version");
    record.optionalCount("next");
    return entry.value as unknown as SchemaRecord;
  });
}

function refuseNewer(
  { url }: Store,
  { version, next }: SchemaRecord,
  newest: number,
): void {
  const found = Math.max(version, next ?? 0);
  if (found <= newest) return;
  throw new NetError(
    "failed_precondition",
    `Cannot use the state in ${url}: its schema has version ${found}, and this program knows versions up to ${newest}; ` +
      `start the newer program again, or restore a backup from before the upgrade into an empty state`,
  );
}

async function isEmpty(store: Store): Promise<boolean> {
  for await (const _ of store.list([], { limit: 1 })) return false;
  return true;
}

function isSchema(key: Key): boolean {
  return key.length === SCHEMA_KEY.length &&
    key.every((part, i) => part === SCHEMA_KEY[i]);
}
