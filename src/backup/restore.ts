import { NetError } from "../base/error.ts";
import { Batch } from "../ledger/model.ts";
import { capacityOf, usableRange } from "../net/prefix.ts";
import {
  isRestoredKey,
  type Restored,
  restoredPut,
} from "../registry/restore_grace.ts";
import { poolValue, readPool } from "../state/address_records.ts";
import { readNode } from "../state/cluster_records.ts";
import { isTokenKey, revokedToken } from "../state/identity_records.ts";
import { isMachineKey } from "../state/machine.ts";
import { SCHEMA_VERSION } from "../state/schema.ts";
import type { Entry, JsonValue, Key, Store } from "../store/store.ts";
import type { BackupHeader } from "./format/format.ts";
import type { BackupPart } from "./format/read.ts";
import type { RestoreSummary } from "./port.ts";

/** Most addresses by which {@linkcode skipRecentAddresses} moves the search. */
const MAX_JUMP = 65_536n;

/** The place of a state that does not exist yet. */
export interface NewState {
  /** Its path, for people. */
  readonly path: string;
  /**
   * Returns when a state can be created.
   *
   * @throws {NetError} `failed_precondition` when there is one, `unavailable`
   * when an agent uses it
   */
  check(): Promise<void>;
  /**
   * Creates a state and fills it: all of it, or nothing. After it was killed at
   * any moment, no agent starts with an empty state in its place.
   *
   * @param check called before anything is written
   * @throws {NetError} as `check`
   */
  create(
    fill: (store: Store) => Promise<void>,
    check: () => Promise<void>,
  ): Promise<void>;
}

/** Options of {@linkcode restoreState}. */
export interface RestoreOptions {
  /** Reads the backup from its beginning. Called twice. */
  readonly read: () => AsyncIterable<BackupPart>;
  readonly state: NewState;
  /** Length of the registry's grace period, in ms. */
  readonly settleMs: number;
  /** Checks the backup, and writes nothing. */
  readonly dryRun: boolean;
  /** Restores the registry even if an agent answers where it was. Default: no. */
  readonly force?: boolean;
  /** Whether anything answers at the URL of an agent's API. Default: nothing does. */
  readonly answers?: (url: string) => Promise<boolean>;
}

/**
 * Restores a state from a backup. All of the backup is checked before anything
 * is written.
 *
 * @throws {NetError} `failed_precondition` when the backup cannot be used,
 * there is a state, or the registry of the backup seems to be alive,
 * `unavailable` when an agent uses the state
 */
export async function restoreState(
  options: RestoreOptions,
): Promise<RestoreSummary> {
  const { read, state, settleMs, dryRun } = options;
  await state.check();
  if (dryRun) return await checkBackup(options);
  let summary: RestoreSummary;
  await state.create(async (store) => {
    const takenAtMs = Date.parse(summary.header.takenAt);
    const restored = summary.hasRegistry ? { takenAtMs, settleMs } : undefined;
    const loaded = await loadBackup(store, read(), restored);
    if (loaded === summary.entries) return;
    throw new NetError(
      "failed_precondition",
      "Cannot read the backup: it was changed while it was restored; try again",
    );
  }, async () => {
    summary = await checkBackup(options);
  });
  return summary!;
}

async function checkBackup(options: RestoreOptions): Promise<RestoreSummary> {
  let url = "";
  let header: BackupHeader | undefined;
  const counts = { entries: 0, nodes: 0, held: 0, history: 0 };
  let hasRegistry = false;
  for await (const part of options.read()) {
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
    if (first === "cluster" && second === "node" && third === header!.node) {
      url = readNode(header!.node, part.entry.value).apiUrl;
    }
  }
  if (hasRegistry && url !== "") await refuseAlive(url, options);
  return { header: header!, hasRegistry, ...counts };
}

/** A second registry would give out the subnets of the first one again. */
async function refuseAlive(
  url: string,
  { force, answers }: RestoreOptions,
): Promise<void> {
  if (force || !await answers?.(url)) return;
  throw new NetError(
    "failed_precondition",
    `Cannot restore the registry: an agent answers at ${url}, where the registry of this backup was, and two registries would give out the same subnets; ` +
      "stop that agent first, or if it is another one now, restore with --force",
  );
}

/**
 * Writes the entries of a backup, and returns their number.
 *
 * @param restored begins the registry's grace period. Default: none
 */
export async function loadBackup(
  store: Store,
  parts: AsyncIterable<BackupPart>,
  restored?: Restored,
): Promise<number> {
  let entries = 0;
  let batch = new Batch(store.limits);
  if (restored) batch.add({ puts: [restoredPut(restored)] });
  for await (const part of parts) {
    if (part.kind === "header") continue;
    entries++;
    // The grace period after an earlier restore is over, or starts again.
    if (isRestoredKey(part.entry.key)) continue;
    // The state is of the machine on which its agent starts.
    if (isMachineKey(part.entry.key)) continue;
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

/** The value that an entry of a backup gets. */
function restoredValue(
  entry: Entry,
  restored: Restored | undefined,
): JsonValue {
  if (isPoolKey(entry.key)) return skipRecentAddresses(entry);
  return restored && isTokenKey(entry.key)
    ? revokedToken(entry, restored.takenAtMs)
    : entry.value;
}

/** @throws {NetError} `failed_precondition` when a newer program made the backup */
export function refuseNewer({ schema, program }: BackupHeader): void {
  if (schema <= SCHEMA_VERSION) return;
  throw new NetError(
    "failed_precondition",
    `Cannot restore the backup: its state has version ${schema} of the schema, and this program knows versions up to ${SCHEMA_VERSION}; ` +
      `use the program that made it, version ${program}, or a newer one`,
  );
}

/** Whether a key is that of a node's pool. */
export function isPoolKey(key: Key): boolean {
  return key.length === 3 && key[0] === "ip" && key[2] === "pool";
}

/**
 * Moves a pool's search for free addresses on by half of each subnet:
 * containers that the backup does not know may hold the addresses that came
 * next after it was made.
 *
 * @throws {NetError} `failed_precondition` when the record is damaged
 */
export function skipRecentAddresses(pool: Entry): JsonValue {
  return poolValue(
    readPool(pool).map(({ subnet, cursor }) => {
      const { first } = usableRange(subnet);
      const capacity = capacityOf(subnet);
      const half = capacity / 2n;
      const jump = half < MAX_JUMP ? half : MAX_JUMP;
      const from = cursor ? cursor.value - subnet.value - first : -1n;
      // `from` may be negative; with the capacity added it is not.
      const offset = (from + capacity + jump) % capacity;
      const value = subnet.value + first + offset;
      return { subnet, cursor: { family: subnet.family, value } };
    }),
  );
}
