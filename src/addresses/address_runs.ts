import { NetError } from "../base/error.ts";
import { parseAddress } from "../net/address.ts";
import { comparePrefixes, overlaps, type Prefix } from "../net/prefix.ts";
import type { Allocator } from "./allocator.ts";
import { type HistoryStores, oldestReleaseMs, readHistory } from "./history.ts";
import {
  type AddressRun,
  joinRuns,
  planPastRuns,
} from "./plan/address_runs.ts";
import type { Allocation } from "./plan/allocation.ts";

/** Releases that a list of addresses at an earlier moment reads at most. */
const MAX_PAST_RELEASES = 20_000;

/** The runs of a node's addresses at a moment. */
export interface RunsAt {
  readonly runs: readonly AddressRun[];
  /** When the oldest known release was made, in ms since 1970; undefined: none is known. */
  readonly knownSinceMs: number | undefined;
}

/** Selects addresses of one node. */
export interface RunsQuery {
  readonly node: string;
  /** Undefined: all subnets of the node. */
  readonly prefix: Prefix | undefined;
  /** In ms since 1970; undefined: now. */
  readonly atMs: number | undefined;
}

/**
 * The runs of a node's addresses that share a state, in order of address.
 *
 * @param allocator undefined: the node has no subnet
 * @throws {NetError} `exhausted` when more addresses were released since that
 * moment than one call reads
 */
export async function readRuns(
  allocator: Allocator | undefined,
  query: RunsQuery,
  { now, isLeaked, ...stores }: HistoryStores & {
    /** The time in ms since 1970. */
    readonly now: () => number;
    readonly isLeaked: (allocation: Allocation) => boolean;
  },
): Promise<RunsAt> {
  const { node, prefix, atMs } = query;
  const knownSinceMs = await oldestReleaseMs(stores, node);
  if (!allocator) return { runs: [], knownSinceMs };
  const runs = atMs !== undefined && atMs < now()
    ? await readPastRuns(allocator, { node, prefix, atMs }, stores)
    : await readPresentRuns(allocator, { prefix, isLeaked });
  return { runs, knownSinceMs };
}

function readPresentRuns(
  allocator: Allocator,
  { prefix, isLeaked }: {
    readonly prefix: Prefix | undefined;
    readonly isLeaked: (allocation: Allocation) => boolean;
  },
): Promise<AddressRun[]> {
  return allocator.read((pool) =>
    pool.subnets
      .filter(({ subnet }) => !prefix || overlaps(prefix, subnet))
      .toSorted((a, b) => comparePrefixes(a.subnet, b.subnet))
      .flatMap((subnetPool) =>
        joinRuns(
          subnetPool.marked(prefix ?? subnetPool.subnet, (owner) => {
            const allocation = pool.get(owner);
            return allocation !== undefined && isLeaked(allocation);
          }),
        )
      )
  );
}

async function readPastRuns(
  allocator: Allocator,
  { node, prefix, atMs }: RunsQuery & { readonly atMs: number },
  stores: HistoryStores,
): Promise<AddressRun[]> {
  const { coolDownMs } = allocator;
  const { held, subnets } = await allocator.read((pool) => ({
    held: pool.values().toArray(),
    subnets: pool.subnets.map(({ subnet }) => subnet),
  }));
  const holding = held.reduce((n, { addresses }) => n + addresses.length, 0);
  const limit = holding + MAX_PAST_RELEASES + 1;
  const query = { node, sinceMs: atMs - coolDownMs, limit };
  const records = await readHistory(stores, query, held);
  if (records.length === limit) {
    throw new NetError(
      "exhausted",
      `Cannot list the addresses of node "${node}" as of ${
        new Date(atMs).toISOString()
      }: more than ${MAX_PAST_RELEASES} addresses were released since then; choose a later time`,
    );
  }
  const periods = records.map((record) => ({
    ...record,
    address: parseAddress(record.address),
  }));
  return planPastRuns(periods, await allocator.reservations(), {
    ...{ atMs, coolDownMs },
    within: prefix ? [prefix] : subnets,
  });
}
