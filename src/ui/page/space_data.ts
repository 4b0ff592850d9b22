import { useEffect, useMemo } from "preact/hooks";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { AddressState } from "../../gen/stellar/net/v1/ipam_pb.ts";
import type { Subnet } from "../../gen/stellar/net/v1/registry_pb.ts";
import { parseAddress } from "../../net/address.ts";
import { formatPrefix, type Prefix } from "../../net/prefix.ts";
import { ipamApi, registryApi } from "./api.ts";
import { cluster } from "./cluster.ts";
import { readPages } from "./pages.ts";
import { type Loaded, useLoad } from "./parts/use_load.ts";
import { past, readPast } from "./past.ts";
import type { ShownAddressState } from "./plan/palette.ts";
import type { StateRun } from "./plan/cell_use.ts";
import { rewindSlices, type Slice, slicesOf } from "./plan/slices.ts";
import { moment } from "./router.ts";

/** The watch tells the owners; what else changes is rare. */
const LIST_INTERVAL_MS = 5_000;
/** A new container is to be seen within a second. */
const RUNS_INTERVAL_MS = 700;
/** Most pages of runs of one level: 8,192 cells have no more than 8,192 runs. */
const MAX_RUN_PAGES = 9;

const STATES: Readonly<Partial<Record<AddressState, ShownAddressState>>> = {
  [AddressState.HELD]: "held",
  [AddressState.COOLING]: "cooling",
  [AddressState.RESERVED]: "reserved",
  [AddressState.LEAKED]: "leaked",
};

/** The subnets that are not free, at the moment that the page shows, and why they may be out of date. */
export function useSlices(): Loaded<readonly Slice[]> {
  const { value: listed, why } = useLoad("subnets", listSubnets, {
    intervalMs: LIST_INTERVAL_MS,
  });
  const hosts = cluster.value?.hosts;
  const atMs = moment.value;
  const isPast = atMs !== undefined;
  useEffect(() => {
    if (isPast) void readPast();
  }, [isPast]);
  const now = useMemo(
    () => slicesOf(listed ?? [], hosts?.values() ?? []),
    [listed, hosts],
  );
  const events = past.value?.events;
  const value = useMemo(
    () => atMs === undefined ? now : rewindSlices(now, events ?? [], atMs),
    [now, events, atMs],
  );
  return { value, why };
}

async function listSubnets(signal: AbortSignal): Promise<Subnet[]> {
  const pages = await readPages((pageToken) =>
    registryApi.listSubnets({ pageToken }, { signal })
  );
  return pages.flatMap(({ subnets }) => subnets);
}

/** The addresses that are not free, and how far the history goes. */
export interface KnownRuns {
  readonly runs: readonly StateRun<ShownAddressState>[];
  /** When the oldest known release was made, in ms since 1970; undefined: none. */
  readonly knownSinceMs: number | undefined;
}

/**
 * The addresses of a part of a subnet, at the moment that the page shows.
 *
 * @param node its owner; undefined: nobody, so that nobody is asked
 */
export function useRuns(
  node: string | undefined,
  prefix: Prefix,
): Loaded<KnownRuns> {
  const atMs = moment.value;
  return useLoad(
    `${node} ${formatPrefix(prefix)} ${atMs}`,
    async (signal) =>
      node === undefined
        ? { runs: [], knownSinceMs: undefined }
        : await loadRuns({ node, prefix, atMs }, signal),
    // The past does not change.
    atMs === undefined ? { intervalMs: RUNS_INTERVAL_MS } : {},
  );
}

/** Reads the addresses of a part of a subnet once. */
export async function loadRuns(
  { node, prefix, atMs }: {
    readonly node: string;
    readonly prefix: Prefix;
    /** In ms since 1970; undefined: now. */
    readonly atMs: number | undefined;
  },
  signal: AbortSignal,
): Promise<KnownRuns> {
  const request = {
    ...{ node, prefix: formatPrefix(prefix) },
    ...atMs !== undefined && { at: timestampFromMs(atMs) },
  };
  const pages = await readPages(
    (pageToken) =>
      ipamApi.listAddressRuns({ ...request, pageToken }, { signal }),
    MAX_RUN_PAGES,
  );
  const knownSince = pages[0]?.knownSince;
  return {
    runs: pages.flatMap((page) => page.runs.flatMap(readRun)),
    knownSinceMs: knownSince && timestampMs(knownSince),
  };
}

function readRun(
  { first, last, state }: {
    readonly first: string;
    readonly last: string;
    readonly state: AddressState;
  },
): StateRun<ShownAddressState>[] {
  const shown = STATES[state];
  if (!shown) return [];
  const [from, to] = [first, last].map((text) => parseAddress(text).value);
  return [{ first: from!, last: to!, state: shown }];
}
