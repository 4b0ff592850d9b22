import type { Allocation, Owner } from "./plan/allocation.ts";
import { formatAddress } from "../net/address.ts";
import type { Entry, JsonValue, Key, Store } from "../store/store.ts";
import { ownerTuple, readOwner } from "../state/address_records.ts";
import { readEntry } from "../state/read_entry.ts";

/** Who held an address, from when to when. */
export interface HistoryRecord {
  readonly node: string;
  readonly address: string;
  readonly owner: Owner;
  readonly allocatedAtMs: number;
  /** Absent while it is held. */
  readonly releasedAtMs?: number;
  /** Why it was released; empty while it is held. */
  readonly reason: string;
}

/** Selects records of one node. */
export interface HistoryQuery {
  readonly node: string;
  /** Only this address, in canonical form. */
  readonly address?: string;
  readonly containerId?: string;
  /** Only what was released at or after this time. */
  readonly sinceMs?: number;
  /** At most so many. */
  readonly limit: number;
}

/** Where the history is. */
export interface HistoryStores {
  /** The node whose history is in its agent's own store. */
  readonly node: string;
  readonly store: Store;
  /** Where that of other nodes is; undefined: in the same store. */
  readonly registryStore?: Store;
}

/** Prefix of the history in order of time. All of it is there. */
export const HISTORY_TIME_PREFIX: Key = ["history", "time"];

/** How many records a store keeps at most. */
const MAX_RECORDS = 1_000_000;
/** How many records one commit of {@linkcode pruneHistory} removes at most. */
const PRUNE_BATCH = 400;

/**
 * The writes that record a release. Each record is stored twice: in order of
 * time, for pruning and for the latest, and by address, for the question that
 * is asked at night.
 *
 * @param sequence tells the releases of one millisecond apart
 */
export function historyPuts(
  node: string,
  release: {
    readonly allocation: Allocation;
    readonly releasedAtMs: number;
    readonly reason: string;
    readonly sequence: number;
  },
): { key: Key; value: JsonValue }[] {
  const { allocation, releasedAtMs, reason, sequence } = release;
  return allocation.addresses.flatMap(({ address }) => {
    const text = formatAddress(address);
    const value: JsonValue = {
      owner: ownerTuple(allocation.owner),
      allocatedAtMs: allocation.allocatedAtMs,
      reason,
    };
    return [
      { key: ["history", "time", releasedAtMs, sequence, node, text], value },
      { key: ["history", "ip", node, text, releasedAtMs, sequence], value },
    ];
  });
}

/**
 * Reads who held and who holds an address, the latest event first.
 *
 * @param held what is held now on the node
 */
export async function readHistory(
  { node, store, registryStore = store }: HistoryStores,
  query: HistoryQuery,
  held: readonly Allocation[],
): Promise<HistoryRecord[]> {
  const from = query.node === node ? store : registryStore;
  const records = held
    .flatMap((allocation) => heldRecords(query.node, allocation))
    .filter((record) => matches(record, query))
    .concat(await listReleased(from, query));
  const time = (r: HistoryRecord) => r.releasedAtMs ?? r.allocatedAtMs;
  return records.sort((a, b) => time(b) - time(a)).slice(0, query.limit);
}

function heldRecords(node: string, allocation: Allocation): HistoryRecord[] {
  return allocation.addresses.map(({ address }) => ({
    node,
    address: formatAddress(address),
    owner: allocation.owner,
    allocatedAtMs: allocation.allocatedAtMs,
    reason: "",
  }));
}

/** Reads what was released, the latest first. */
async function listReleased(
  store: Store,
  query: HistoryQuery,
): Promise<HistoryRecord[]> {
  const prefix = query.address === undefined
    ? HISTORY_TIME_PREFIX
    : ["history", "ip", query.node, query.address];
  const records: HistoryRecord[] = [];
  for await (const entry of store.list(prefix, { reverse: true })) {
    const record = readReleasedRecord(entry);
    if (record.releasedAtMs! < (query.sinceMs ?? 0)) break;
    if (!matches(record, query)) continue;
    records.push(record);
    if (records.length === query.limit) break;
  }
  return records;
}

/** Whether a record is what a query asks for; the time apart. */
function matches(record: HistoryRecord, query: HistoryQuery): boolean {
  return record.node === query.node &&
    (query.address === undefined || record.address === query.address) &&
    (query.containerId === undefined ||
      record.owner.containerId === query.containerId);
}

/**
 * Removes what was released before a time, and the oldest of what is too much,
 * and returns how many records that were.
 *
 * @param maxRecords how many a store keeps, however young they are. Default: a
 * million, which take about 400 MB
 */
export async function pruneHistory(
  { store, registryStore = store }: HistoryStores,
  beforeMs: number,
  maxRecords = MAX_RECORDS,
): Promise<number> {
  let removed = 0;
  for (const from of new Set([store, registryStore])) {
    const excessMs = await endOfExcess(from, maxRecords);
    removed += await prune(from, Math.max(beforeMs, excessMs));
  }
  return removed;
}

/** A millisecond after the last record that is too many; 0 when none is. */
async function endOfExcess(store: Store, most: number): Promise<number> {
  let left = most;
  const latestFirst = { reverse: true, limit: most + 1 };
  for await (const { key } of store.list(HISTORY_TIME_PREFIX, latestFirst)) {
    if (left-- === 0) return Number(key[2]) + 1;
  }
  return 0;
}

async function prune(store: Store, beforeMs: number): Promise<number> {
  let removed = 0;
  while (true) {
    const deletes: Key[] = [];
    const limit = Math.min(
      PRUNE_BATCH,
      Math.floor(store.limits.maxMutations / 2),
    );
    for await (const { key } of store.list(HISTORY_TIME_PREFIX, { limit })) {
      if (Number(key[2]) >= beforeMs) break;
      deletes.push(key, byAddress(key));
    }
    if (deletes.length === 0) return removed;
    await store.commit({ deletes });
    removed += deletes.length / 2;
  }
}

/** The key by address of a record, of its key in order of time. */
export function byAddress(key: Key): Key {
  const [, , releasedAtMs, sequence, node, address] = key;
  return ["history", "ip", node!, address!, releasedAtMs!, sequence!];
}

function readReleasedRecord(entry: Entry): HistoryRecord {
  return readEntry(entry, "record of the history", (record) => {
    const [, index, ...rest] = entry.key;
    const [releasedAtMs, , node, address] = index === "time"
      ? rest
      : [rest[2], rest[3], rest[0], rest[1]];
    return {
      node: String(node),
      address: String(address),
      owner: readOwner(record, "owner"),
      allocatedAtMs: record.count("allocatedAtMs"),
      releasedAtMs: Number(releasedAtMs),
      reason: record.text("reason"),
    };
  });
}
