import { type ReadonlySignal, signal } from "@preact/signals";
import {
  AddressState,
  type ListAddressRunsResponse,
} from "../../gen/stellar/net/v1/ipam_pb.ts";
import type { Subnet } from "../../gen/stellar/net/v1/registry_pb.ts";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { parseAddress } from "../../net/address.ts";
import { formatPrefix, type Prefix } from "../../net/prefix.ts";
import { ipamApi, registryApi } from "./api.ts";
import type { ShownAddressState } from "./plan/palette.ts";
import type { StateRun } from "./plan/cell_use.ts";
import { NOT_POLLED, type Polled, readPages, startPoll } from "./poll.ts";

/** The watch tells the owners; what else changes is rare. */
const LIST_INTERVAL_MS = 5_000;
/** A new container is to be seen within a second. */
const RUNS_INTERVAL_MS = 700;
/** Most pages of runs of one level: 4,096 cells have no more than 4,096 runs. */
const MAX_RUN_PAGES = 5;

const STATES: Readonly<Partial<Record<AddressState, ShownAddressState>>> = {
  [AddressState.HELD]: "held",
  [AddressState.COOLING]: "cooling",
  [AddressState.RESERVED]: "reserved",
  [AddressState.LEAKED]: "leaked",
};

const listed = signal<Polled<readonly Subnet[]>>(NOT_POLLED);
/** The subnets that the registry lists. */
export const subnetList: ReadonlySignal<Polled<readonly Subnet[]>> = listed;

/** Reads the list of subnets until the returned function is called. */
export function followSubnets(): () => void {
  return startPoll(
    async (signal) =>
      (await readPages((pageToken) =>
        registryApi.listSubnets({ pageToken }, { signal })
      )).flatMap(({ subnets }) => subnets),
    { intervalMs: LIST_INTERVAL_MS, onRead: (read) => keep(listed, read) },
  );
}

/** The addresses of a part of a subnet. */
export interface PartOfSubnet {
  readonly node: string;
  readonly prefix: Prefix;
  /** In ms since 1970; undefined: now. */
  readonly atMs: number | undefined;
}

/** The addresses that are not free, and how far the history goes. */
export interface KnownRuns {
  readonly runs: readonly StateRun<ShownAddressState>[];
  /** When the oldest known release was made, in ms since 1970; undefined: none. */
  readonly knownSinceMs: number | undefined;
}

const runs = signal<Polled<KnownRuns>>(NOT_POLLED);
/** The addresses of the followed part of a subnet. */
export const addressRuns: ReadonlySignal<Polled<KnownRuns>> = runs;

/** Reads the addresses of a part of a subnet until the returned function is called. */
export function followRuns(part: PartOfSubnet): () => void {
  runs.value = NOT_POLLED;
  return startPoll(
    (signal) => loadRuns(part, signal),
    {
      // The past does not change.
      intervalMs: part.atMs === undefined ? RUNS_INTERVAL_MS : 60_000,
      onRead: (read) => keep(runs, read),
    },
  );
}

/** Reads the addresses of a part of a subnet once. */
export async function loadRuns(
  { node, prefix, atMs }: PartOfSubnet,
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
  return readRuns(pages);
}

function readRuns(pages: readonly ListAddressRunsResponse[]): KnownRuns {
  const knownSince = pages[0]?.knownSince;
  return {
    knownSinceMs: knownSince && timestampMs(knownSince),
    runs: pages.flatMap((page) =>
      page.runs.flatMap(({ first, last, state }) => {
        const shown = STATES[state];
        return shown
          ? [{
            first: parseAddress(first).value,
            last: parseAddress(last).value,
            state: shown,
          }]
          : [];
      })
    ),
  };
}

/** After a failure, what was known stays. */
function keep<T>(
  at: { value: Polled<T> },
  { value, error }: Polled<T>,
): void {
  at.value = { value: value ?? at.value.value, error };
}
