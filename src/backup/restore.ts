import type { BackupPart } from "./format/read.ts";
import type { BackupHeader } from "./format/format.ts";
import type { RestoreSummary } from "./port.ts";
import { NetError } from "../base/error.ts";
import { isTokenKey, revokedToken } from "../state/identity_records.ts";
import type { Entry, JsonValue, Store } from "../store/store.ts";
import { Batch } from "../ledger/model.ts";
import {
  isPoolKey,
  isRestoredKey,
  movePool,
  type Restored,
  restoredPut,
} from "../registry/restore_grace.ts";
import { SCHEMA_VERSION } from "../state/schema.ts";

/** Where a state is restored to. */
export interface NewState {
  /** Where it will be, for people. */
  readonly path: string;
  /**
   * Says why a state cannot be made now.
   *
   * @throws {NetError} `failed_precondition` when there is one, `unavailable`
   * when an agent uses it
   */
  check(): Promise<void>;
  /**
   * Makes a state and fills it. Unless all of it succeeds there is none.
   *
   * @throws {NetError} as `check`
   */
  create(fill: (store: Store) => Promise<void>): Promise<void>;
}

/** What {@linkcode restoreState} works with. */
export interface RestoreOptions {
  /** Reads the backup from its beginning. It is read twice. */
  readonly read: () => AsyncIterable<BackupPart>;
  readonly state: NewState;
  /** How long the registry waits for those whom the backup does not know, in ms. */
  readonly settleMs: number;
  /** Only says what would be done. */
  readonly dryRun: boolean;
}

/**
 * Restores a state from a backup. The backup is checked wholly before anything
 * is written.
 *
 * @throws {NetError} `failed_precondition` when the backup cannot be used or
 * there is a state, `unavailable` when an agent uses it
 */
export async function restoreState(
  { read, state, settleMs, dryRun }: RestoreOptions,
): Promise<RestoreSummary> {
  await state.check();
  const summary = await checkBackup(read());
  if (dryRun) return summary;
  const takenAtMs = Date.parse(summary.header.takenAt);
  await state.create(async (store) => {
    const restored = summary.hasRegistry ? { takenAtMs, settleMs } : undefined;
    const loaded = await load(store, read(), restored);
    if (loaded === summary.entries) return;
    throw new NetError(
      "failed_precondition",
      "Cannot read the backup: it was changed while it was restored; try again",
    );
  });
  return summary;
}

async function checkBackup(
  parts: AsyncIterable<BackupPart>,
): Promise<RestoreSummary> {
  let header: BackupHeader | undefined;
  const counts = { entries: 0, nodes: 0, held: 0, history: 0 };
  let hasRegistry = false;
  for await (const part of parts) {
    if (part.kind === "header") {
      header = part.header;
      refuseNewer(header);
      continue;
    }
    const [first, second, third] = part.entry.key;
    counts.entries++;
    if (first === "cluster") hasRegistry = true;
    if (first === "cluster" && second === "node") counts.nodes++;
    if (first === "ip" && third === "address") counts.held++;
    if (first === "history" && second === "time") counts.history++;
  }
  return { header: header!, hasRegistry, ...counts };
}

/** Writes the entries of a backup, and returns how many those are. */
async function load(
  store: Store,
  parts: AsyncIterable<BackupPart>,
  restored: Restored | undefined,
): Promise<number> {
  let entries = 0;
  let batch = new Batch(store.limits);
  if (restored) batch.add({ puts: [restoredPut(restored)] });
  for await (const part of parts) {
    if (part.kind === "header") continue;
    entries++;
    // What was restored before has settled, or begins anew.
    if (isRestoredKey(part.entry.key)) continue;
    const { key, value } = part.entry;
    const entry = { key, value, version: "" };
    batch.add({ puts: [{ key, value: restoredValue(entry, restored) }] });
    if (!batch.isFull) continue;
    await store.commit(batch.commit());
    batch = new Batch(store.limits);
  }
  if (!batch.isEmpty) await store.commit(batch.commit());
  return entries;
}

/** What an entry is restored with. */
function restoredValue(
  entry: Entry,
  restored: Restored | undefined,
): JsonValue {
  if (isPoolKey(entry.key)) return movePool(entry);
  return restored && isTokenKey(entry.key)
    ? revokedToken(entry, restored.takenAtMs)
    : entry.value;
}

function refuseNewer({ schema, program }: BackupHeader): void {
  if (schema <= SCHEMA_VERSION) return;
  throw new NetError(
    "failed_precondition",
    `Cannot restore the backup: its state has version ${schema} of the schema, and this program knows versions up to ${SCHEMA_VERSION}; ` +
      `use the program that made it, version ${program}, or a newer one`,
  );
}
