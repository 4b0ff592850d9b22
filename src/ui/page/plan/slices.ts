import { timestampMs } from "@bufbuild/protobuf/wkt";
import type {
  Event,
  HostSummary,
  NetworkUse,
} from "../../../gen/stellar/net/v1/cluster_pb.ts";
import {
  type Subnet,
  SubnetState,
} from "../../../gen/stellar/net/v1/registry_pb.ts";
import { type Carve, createCarve } from "../../../net/carve.ts";
import {
  comparePrefixes,
  containsPrefix,
  lastAddress,
  parsePrefix,
  type Prefix,
} from "../../../net/prefix.ts";
import type { StateRun } from "./cell_use.ts";

/** How a network is divided; nothing for one that this program cannot read. */
export function carvesOf({ network }: NetworkUse): Carve[] {
  if (!network) return [];
  try {
    return [
      createCarve(parsePrefix(network.cidr), network.subnetPrefixLength),
    ];
  } catch {
    return [];
  }
}

/** The states of a subnet that is not free, those first that an operator has to see. */
export const SLICE_STATES = [
  "conflicting",
  "reserved",
  "owned",
  "released",
] as const;

export type SliceState = typeof SLICE_STATES[number];

/** A part of a network that is not free: a subnet, or a wider part that is in conflict. */
export interface Slice {
  readonly cidr: string;
  readonly prefix: Prefix;
  readonly state: SliceState;
  /** Owner, or the node that it is reserved for or was released by; empty: none. */
  readonly node: string;
  /** Why it is reserved or in conflict; empty: no reason given. */
  readonly reason: string;
  /** In ms since 1970; undefined: not recorded. */
  readonly sinceMs: number | undefined;
  /** Share of its addresses that are held or cooling, 0 to 1; undefined: not reported. */
  readonly used: number | undefined;
}

const STATES: Readonly<Partial<Record<SubnetState, SliceState>>> = {
  [SubnetState.OWNED]: "owned",
  [SubnetState.RESERVED]: "reserved",
  [SubnetState.CONFLICTING]: "conflicting",
  [SubnetState.RELEASED]: "released",
};

/**
 * The subnets of all networks that are not free, in order of address. Their
 * owners are those of the watch, which is newer than the list.
 *
 * @param listed what ListSubnets has answered last
 */
export function slicesOf(
  listed: readonly Subnet[],
  hosts: Iterable<HostSummary>,
): Slice[] {
  const slices = new Map<string, Slice>();
  for (const subnet of listed) {
    const { cidr, node, reason, since } = subnet;
    const state = STATES[subnet.state];
    if (!state || state === "owned") continue;
    slices.set(cidr, {
      ...{ cidr, prefix: parsePrefix(cidr), state, node, reason },
      ...{ sinceMs: since && timestampMs(since), used: undefined },
    });
  }
  const listedOwned = new Map(
    listed.filter(({ state }) => state === SubnetState.OWNED)
      .map((subnet) => [`${subnet.cidr} ${subnet.node}`, subnet]),
  );
  for (const host of hosts) {
    for (const slice of ownedBy(host)) {
      const subnet = listedOwned.get(`${slice.cidr} ${slice.node}`);
      slices.set(
        slice.cidr,
        subnet
          ? {
            ...{ ...slice, reason: subnet.reason },
            sinceMs: subnet.since && timestampMs(subnet.since),
          }
          : slice,
      );
    }
  }
  return [...slices.values()]
    .sort((a, b) => comparePrefixes(a.prefix, b.prefix));
}

/** The subnets of hosts: most hosts of a view are those of the view before. */
const owned = new WeakMap<HostSummary, readonly Slice[]>();

function ownedBy(host: HostSummary): readonly Slice[] {
  const known = owned.get(host);
  if (known) return known;
  const { node, report } = host;
  const slices = (node?.subnets ?? []).map((cidr): Slice => {
    const use = report?.subnets.find((each) => each.cidr === cidr);
    return {
      ...{ cidr, prefix: parsePrefix(cidr), state: "owned" },
      ...{ node: node!.name, reason: "", sinceMs: undefined },
      used: use && use.capacity > 0
        ? Math.min(1, Number(use.held + use.cooling) / use.capacity)
        : undefined,
    };
  });
  owned.set(host, slices);
  return slices;
}

/**
 * The subnets at an earlier moment: each event since then is taken back. What
 * events do not tell is as it is now if it is that old, and else unknown, so that
 * it is left out.
 *
 * @param events in any order; those before the moment do not count
 */
export function rewindSlices(
  slices: readonly Slice[],
  events: readonly Event[],
  atMs: number,
): Slice[] {
  const past = new Map(slices.map((slice) => [slice.cidr, slice]));
  const since = events.filter(({ at }) => timeOf(at) > atMs)
    .toSorted((a, b) => timeOf(b.at) - timeOf(a.at));
  for (const { kind, subject: cidr, node } of since) {
    const slice = past.get(cidr);
    if (kind === "subnet returned") {
      past.set(cidr, {
        ...{ cidr, prefix: parsePrefix(cidr), state: "owned", node },
        ...{ reason: "", sinceMs: undefined, used: undefined },
      });
    } else if (kind === "subnet claimed" || kind === "subnet grown") {
      if (slice?.state === "owned") past.delete(cidr);
    }
  }
  return [...past.values()]
    .filter(({ sinceMs = 0 }) => sinceMs <= atMs)
    // Reports are of now.
    .map((slice) => ({ ...slice, used: undefined }))
    .sort((a, b) => comparePrefixes(a.prefix, b.prefix));
}

/** The subnets as runs of addresses that do not overlap: a conflict around a subnet gives way to it. */
export function runsOfSlices(
  slices: readonly Slice[],
): StateRun<SliceState>[] {
  const runs: StateRun<SliceState>[] = [];
  /** The run that continues behind the subnets inside it. */
  let around: { last: bigint; state: SliceState; next: bigint } | undefined;
  const fill = (until: bigint) => {
    if (!around) return;
    const last = until < around.last ? until : around.last;
    if (around.next <= last) {
      runs.push({ first: around.next, last, state: around.state });
    }
    around.next = last + 1n;
    if (around.next > around.last) around = undefined;
  };
  const sorted = slices.toSorted((a, b) => comparePrefixes(a.prefix, b.prefix));
  for (const [i, { prefix, state }] of sorted.entries()) {
    const last = lastAddress(prefix).value;
    fill(prefix.value - 1n);
    const next = sorted[i + 1];
    if (next && containsPrefix(prefix, next.prefix) && !around) {
      around = { last, state, next: prefix.value };
      continue;
    }
    runs.push({ first: prefix.value, last, state });
    if (around && around.next <= last) around.next = last + 1n;
  }
  fill(around?.last ?? 0n);
  return runs;
}

/** The subnet that a prefix lies in, the narrowest; undefined: it is free. */
export function sliceAround(
  slices: readonly Slice[],
  prefix: Prefix,
): Slice | undefined {
  return slices.filter((slice) => containsPrefix(slice.prefix, prefix))
    .reduce<Slice | undefined>(
      (best, slice) =>
        best && best.prefix.length >= slice.prefix.length ? best : slice,
      undefined,
    );
}

function timeOf(at: Event["at"]): number {
  return at ? timestampMs(at) : 0;
}
