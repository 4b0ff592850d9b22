import type { Allocation } from "./plan/allocation.ts";
import type { Owner } from "../base/names.ts";
import { formatAddress } from "../net/address.ts";
import type { Entry, JsonValue, Key, Store } from "../store/store.ts";
import { ownerTuple, readOwner } from "../state/address_records.ts";
import { readEntry } from "../state/read_entry.ts";

/** One period in which an owner held an address. */
export interface HistoryRecord {
  readonly node: string;
  readonly address: string;
  readonly owner: Owner;
  readonly allocatedAtMs: number;
  /** Absent while it is held. */
  readonly releasedAtMs?: number;
  /** Reason of the release; empty while it is held. */
  readonly reason: string;
  /** Id of the allocation; empty where an older program recorded the release. */
  readonly id: string;
}

/** Selects records of one node. */
export interface HistoryQuery {
  readonly node: string;
  /** Only this address, in canonical form. */
  readonly address?: string;
  readonly containerId?: string;
  /** Only releases at or after this time. */
  readonly sinceMs?: number;
  /** Only what was allocated or released at or before this time. */
  readonly untilMs?: number;
  /** Maximum number of records. */
  readonly limit: number;
}

export interface HistoryStores {
  /** The node of this agent, whose history is in `store`. */
  readonly node: string;
  readonly store: Store;
  /** The store of other nodes' history; undefined: the same. */
  readonly registryStore?: Store;
}

/** Prefix of the whole history in order of time. */
export const HISTORY_TIME_PREFIX: Key = ["history", "time"];

/** Maximum number of records in a store. */
const MAX_RECORDS = 1_000_000;
/** Maximum number of records that one commit of {@linkcode pruneHistory} removes. */
const PRUNE_BATCH = 400;

/**
 * The writes that record a release. The store has each record twice: in order
 * of time, for pruning, and by address, to find its former holders.
 *
 * @param sequence distinguishes the releases of one millisecond
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
      id: allocation.id,
    };
    return [
      { key: ["history", "time", releasedAtMs, sequence, node, text], value },
      { key: ["history", "ip", node, text, releasedAtMs, sequence], value },
    ];
  });
}

/**
 * Reads the past and present owners of addresses, the latest event first.
 *
 * @param held the allocations of the node
 */
export async function readHistory(
  { node, store, registryStore = store }: HistoryStores,
  query: HistoryQuery,
  held: readonly Allocation[],
): Promise<HistoryRecord[]> {
  const from = query.node === node ? store : registryStore;
  const records = held
    .flatMap((allocation) => heldRecords(query.node, allocation))
    .filter((record) =>
      matches(record, query) &&
      record.allocatedAtMs <= (query.untilMs ?? Infinity)
    )
    .concat(await listReleased(from, query));
  return records.sort((a, b) => eventTimeMs(b) - eventTimeMs(a))
    .slice(0, query.limit);
}

/** When the oldest release was made that a node's store still has, in ms since 1970; undefined: it has none. */
export async function oldestReleaseMs(
  { node, store, registryStore = store }: HistoryStores,
  of: string,
): Promise<number | undefined> {
  const from = of === node ? store : registryStore;
  for await (const { key } of from.list(HISTORY_TIME_PREFIX, { limit: 1 })) {
    return Number(key[2]);
  }
  return undefined;
}

/** The time by which records are ordered: of the release, or of the allocation while it is held. */
export function eventTimeMs(record: HistoryRecord): number {
  return record.releasedAtMs ?? record.allocatedAtMs;
}

function heldRecords(node: string, allocation: Allocation): HistoryRecord[] {
  return allocation.addresses.map(({ address }) => ({
    node,
    address: formatAddress(address),
    owner: allocation.owner,
    allocatedAtMs: allocation.allocatedAtMs,
    reason: "",
    id: allocation.id,
  }));
}

/** Reads the releases, the latest first. */
async function listReleased(
  store: Store,
  query: HistoryQuery,
): Promise<HistoryRecord[]> {
  const prefix = query.address === undefined
    ? HISTORY_TIME_PREFIX
    : ["history", "ip", query.node, query.address];
  const records: HistoryRecord[] = [];
  const { untilMs } = query;
  const after = untilMs !== undefined && { after: [...prefix, untilMs + 1] };
  for await (const entry of store.list(prefix, { reverse: true, ...after })) {
    const record = readReleasedRecord(entry);
    if (record.releasedAtMs! < (query.sinceMs ?? 0)) break;
    if (!matches(record, query)) continue;
    records.push(record);
    if (records.length === query.limit) break;
  }
  return records;
}

/** Whether a query selects a record, apart from the time. */
function matches(record: HistoryRecord, query: HistoryQuery): boolean {
  return record.node === query.node &&
    (query.address === undefined || record.address === query.address) &&
    (query.containerId === undefined ||
      record.owner.containerId === query.containerId);
}

/**
 * Removes the releases before a time, and the oldest of more than a maximum.
 *
 * @param maxRecords Default: a million, which take about 400 MB
 * @returns the number of removed records
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

/** A millisecond after the last record above the maximum; 0 when there is none. */
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

/** The key by address of the record with a key in order of time. */
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
      id: record.optionalText("id") ?? "",
    };
  });
}
