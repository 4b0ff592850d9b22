import { timestampMs } from "@bufbuild/protobuf/wkt";
import type {
  ClusterServiceWatchResponse,
  Event,
  HostSummary,
  NetworkUse,
  Problem,
} from "../../../gen/stellar/net/v1/cluster_pb.ts";

/** The cluster as the page knows it. */
export interface ClusterView {
  readonly verdict: string;
  /** Errors first. */
  readonly problems: readonly Problem[];
  readonly networks: readonly NetworkUse[];
  /** By name, in the order of names. */
  readonly hosts: ReadonlyMap<string, HostSummary>;
  /** The latest first, at most {@linkcode MAX_EVENTS}. */
  readonly events: readonly Event[];
  /** The time up to which it is known, by the agent's clock, in ms since 1970. */
  readonly asOfMs: number;
}

/** A watch of the cluster: its view, and what has arrived of the next one. */
export interface WatchState {
  /** Undefined until the first snapshot is whole. */
  readonly view: ClusterView | undefined;
  /** To resume from; empty before the first snapshot. */
  readonly revision: string;
  /** Messages with more behind them. */
  readonly parts: readonly ClusterServiceWatchResponse[];
}

export const NO_WATCH: WatchState = {
  view: undefined,
  revision: "",
  parts: [],
};

/** The most events that the page keeps. */
export const MAX_EVENTS = 1_000;

const EMPTY: ClusterView = {
  verdict: "",
  problems: [],
  networks: [],
  hosts: new Map(),
  events: [],
  asOfMs: 0,
};

/** Applies a message of the watch. The view changes once all its parts are there. */
export function applyMessage(
  state: WatchState,
  message: ClusterServiceWatchResponse,
): WatchState {
  const parts = [...state.parts, message];
  if (message.more) return { ...state, parts };
  return {
    view: parts.reduce(applyPart, startOf(state.view, parts)),
    revision: message.revision,
    parts: [],
  };
}

/** A stream has ended: what it left unfinished comes again with the next one. */
export function dropParts(state: WatchState): WatchState {
  return { ...state, parts: [] };
}

/** Adds events from elsewhere, such as those before the watch began. */
export function addEvents(
  view: ClusterView,
  events: readonly Event[],
): ClusterView {
  return { ...view, events: mergeEvents(view.events, events) };
}

/** Tells events apart: they have no ids. */
export function eventKey({ at, kind, node, subject, text }: Event): string {
  return [at?.seconds, at?.nanos, kind, node, subject, text].join("\n");
}

function startOf(
  view: ClusterView | undefined,
  parts: readonly ClusterServiceWatchResponse[],
): ClusterView {
  const before = view ?? EMPTY;
  return parts.some(({ snapshot }) => snapshot)
    ? { ...before, hosts: new Map() }
    : before;
}

function applyPart(
  view: ClusterView,
  { summary, hosts, removedHosts, events, asOf }: ClusterServiceWatchResponse,
): ClusterView {
  return {
    ...view,
    ...summary && {
      verdict: summary.verdict,
      problems: summary.problems,
      networks: summary.networks,
    },
    ...hosts.length + removedHosts.length > 0 &&
      { hosts: changeHosts(view.hosts, { hosts, removedHosts }) },
    ...events.length > 0 && { events: mergeEvents(view.events, events) },
    ...asOf && { asOfMs: timestampMs(asOf) },
  };
}

function changeHosts(
  before: ReadonlyMap<string, HostSummary>,
  { hosts, removedHosts }: Pick<
    ClusterServiceWatchResponse,
    "hosts" | "removedHosts"
  >,
): ReadonlyMap<string, HostSummary> {
  const after = new Map(before);
  for (const name of removedHosts) after.delete(name);
  let isSorted = true;
  for (const host of hosts) {
    const name = host.node?.name ?? "";
    isSorted &&= after.has(name);
    after.set(name, host);
  }
  return isSorted
    ? after
    : new Map([...after].sort(([a], [b]) => a < b ? -1 : a > b ? 1 : 0));
}

/** Events of two lists, each once, the latest first. */
export function mergeEvents(
  before: readonly Event[],
  added: readonly Event[],
  most = MAX_EVENTS,
): readonly Event[] {
  const byKey = new Map([...before, ...added]
    .map((event) => [eventKey(event), event]));
  return [...byKey.values()].sort((a, b) => atMs(b) - atMs(a))
    .slice(0, most);
}

function atMs({ at }: Event): number {
  return at ? timestampMs(at) : 0;
}
