import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { createClient, type ServiceImpl } from "@connectrpc/connect";
import type { Agent } from "../../agent/agent.ts";
import type { HistoryRecord } from "../../addresses/history.ts";
import type { Allocation } from "../../addresses/plan/allocation.ts";
import { mapBounded } from "../../base/map_bounded.ts";
import {
  formatOwner,
  type Owner,
  parseNodeName,
  parseText,
} from "../../base/names.ts";
import type { EventPosition } from "../../cluster/event_log.ts";
import type { Requesters } from "../../cluster/requesters.ts";
import {
  mayHold,
  parseWanted,
  searchNode,
  type Wanted,
} from "../../cluster/search.ts";
import {
  ClusterService,
  type Found,
  FoundKind,
  FoundSchema,
} from "../../gen/stellar/net/v1/cluster_pb.ts";
import {
  type Address,
  formatAddress,
  parseAddress,
} from "../../net/address.ts";
import { containsAddress, formatPrefix, overlaps } from "../../net/prefix.ts";
import type { SubnetListing } from "../../registry/plan/subnet_listing.ts";
import type { ClusterNode } from "../../registry/feed.ts";
import { allocationMessage } from "../messages/addresses.ts";
import { eventMessage, reportMessage } from "../messages/cluster.ts";
import {
  invalidField,
  parseField,
  parseOptional,
  parseOwner,
} from "../messages/fields.ts";
import { fill, parsePageSize } from "../messages/pages.ts";
import { callerOf, describeCaller } from "../access/call_context.ts";
import { OpenCalls } from "../limits/open_calls.ts";
import {
  type ClusterOptions,
  type ClusterParts,
  HOST_TIMEOUT_MS,
  HOSTS_AT_ONCE,
  readOverview,
} from "./cluster_overview.ts";
import { getPaths } from "./cluster_paths.ts";
import type { ClusterWatches } from "./cluster_watch.ts";

type FoundMessage = MessageInitShape<typeof FoundSchema>;

/** Calls of one caller at once that may ask every host of the cluster. */
const MAX_ASKING = 32;
/** Longest text of a match that another agent has found. */
const MAX_FOUND_TEXT = 1_024;
/** The text about a former holder, on one line, with its node. */
const FORMER = /^"[^"\p{C}]+" \([^)\p{C}]+\) held \S+ on (\S+) \([^\p{C}]*\)$/u;
const DEFAULT_HISTORY = 5;
const MAX_HISTORY = 100;

/** The parts that the service of the cluster needs. */
export interface ClusterServiceParts extends ClusterParts {
  /** At an agent that hosts the registry. */
  readonly watches: ClusterWatches;
  /** The callers of changes of the registry. */
  readonly requesters: Requesters;
}

/** The calls that every agent answers for its own host. */
export function createClusterHere(
  { agent, source }: Pick<ClusterOptions, "agent" | "source">,
): Pick<ServiceImpl<typeof ClusterService>, "findHere" | "getReport"> {
  return {
    async findHere(request) {
      const { wanted, history } = readSearch(request);
      return fillFound(
        await findOn(agent, agent.node, { wanted, history }),
      );
    },

    async getReport() {
      return { report: reportMessage(await source.read()) };
    },
  };
}

/** The service of the whole cluster, at an agent that hosts the registry. */
export function createCluster(
  part: ClusterOptions & Pick<ClusterServiceParts, "watches">,
): ServiceImpl<typeof ClusterService> {
  const { events, watches } = part;
  const asking = new OpenCalls({ most: MAX_ASKING, action: "ask all hosts" });
  return {
    ...createClusterHere(part),

    getOverview: (request, context) =>
      asking.run(
        describeCaller(callerOf(context)),
        () => readOverview(part, request),
      ),

    find: (request, context) =>
      asking.run(
        describeCaller(callerOf(context)),
        () => findAnywhere(part, readSearch(request)),
      ),

    getPaths: (request, context) =>
      asking.run(
        describeCaller(callerOf(context)),
        () => getPaths(part, request),
      ),

    async listEvents(request) {
      const size = parsePageSize(request.pageSize);
      const page = await events.list({
        node: parseOptional("node", request.node, parseNodeName) ?? "",
        limit: size,
        ...request.since && { sinceMs: timestampMs(request.since) },
        ...request.until && { untilMs: timestampMs(request.until) },
        ...request.pageToken !== "" && {
          after: parseField("page_token", request.pageToken, parsePosition),
        },
      });
      return {
        events: page.events.map(eventMessage),
        nextPageToken: page.next?.join("-") ?? "",
      };
    },

    watch(request, context) {
      const { signal } = context;
      const caller = describeCaller(callerOf(context));
      return watches.watch(request, { caller, signal });
    },
  };
}

interface Search {
  readonly wanted: Wanted;
  readonly text: string;
  readonly history: number;
}

function readSearch(
  request: { readonly what: string; readonly history: number },
): Search {
  const text = parseField("what", request.what, parseText);
  return {
    text,
    wanted: parseWanted(text),
    history: parseCount("history", request.history, {
      empty: DEFAULT_HISTORY,
      most: MAX_HISTORY,
    }),
  };
}

async function findAnywhere(part: ClusterOptions, search: Search) {
  const { agent, host, peers } = part;
  const { wanted, text } = search;
  const nodes = await host().nodes.list();
  const subnets = (await host().registry.subnets())
    .filter(({ subnet }) =>
      (wanted.kind === "address" || wanted.kind === "prefix") &&
      mayHold(subnet, wanted)
    );
  const routes = (await host().registry.routes()).filter(({ destination }) =>
    wanted.kind === "address"
      ? containsAddress(destination, wanted.address)
      : wanted.kind === "prefix" && overlaps(destination, wanted.prefix)
  );
  const silentNodes: string[] = [];
  const asked = nodes.filter((node) =>
    node.subnets.some((subnet) => mayHold(subnet, wanted))
  );
  const found = (await mapBounded(asked, async (node) => {
    const { name, state, apiUrl } = node;
    try {
      if (name === agent.node || state === "no agent") {
        return await findOn(agent, name, search);
      }
      const client = createClient(ClusterService, peers.at(apiUrl));
      const { what, history } = { what: text, history: search.history };
      const options = { timeoutMs: HOST_TIMEOUT_MS };
      const { found } = await client.findHere({ what, history }, options);
      return found.flatMap((match) => acceptFound(match, node));
    } catch {
      silentNodes.push(name);
      return [];
    }
  }, { atOnce: HOSTS_AT_ONCE })).flat();
  const isFormer = ({ kind }: { readonly kind?: FoundKind }) =>
    kind === FoundKind.HISTORY;
  return {
    ...fillFound([
      ...found.filter((match) => !isFormer(match)),
      ...subnets.map(foundSubnet),
      ...routes.map(({ destination, target, addedAtMs }) => ({
        kind: FoundKind.ROUTE,
        text: `the extra route ${formatPrefix(destination)} via ${
          formatAddress(target)
        } covers it`,
        since: timestampFromMs(addedAtMs),
      })),
      ...nodes.filter(({ name }) => name === text).map(foundNode),
      ...found.filter(isFormer),
    ]),
    silentNodes: silentNodes.sort(),
  };
}

/** As many matches as fit into an answer. */
function fillFound(
  matches: readonly FoundMessage[],
): { readonly found: FoundMessage[]; readonly truncated: boolean } {
  const found = fill(matches, {
    schema: FoundSchema,
    message: (match) => match,
  });
  return { found, truncated: found.length < matches.length };
}

async function findOn(
  agent: Agent,
  node: string,
  search: Pick<Search, "wanted" | "history">,
): Promise<FoundMessage[]> {
  const { held, history } = await searchNode(agent, node, search);
  return [
    ...held.map((allocation) => foundAllocation(agent, node, allocation)),
    ...history.map(foundFormer),
  ];
}

/**
 * What counts of a match that the agent of a node has found: its allocations in
 * its own subnets, and its history. A host that was broken into answers what it
 * likes; it speaks neither for other hosts nor for the registry.
 */
function acceptFound(match: Found, { name, subnets }: ClusterNode): Found[] {
  if (match.node !== name || match.text.length > MAX_FOUND_TEXT) return [];
  const { allocation } = match;
  switch (match.kind) {
    case FoundKind.ALLOCATION: {
      if (!allocation || allocation.node !== name) return [];
      const addresses = allocation.addresses
        .map(({ address }) => parseAddress(address));
      const isOwn = addresses.every((address) =>
        subnets.some((subnet) => containsAddress(subnet, address))
      );
      const text = describeHolder(parseOwner(allocation.owner), {
        addresses,
        node: name,
      });
      return isOwn && addresses.length > 0 && text === match.text
        ? [match]
        : [];
    }
    case FoundKind.HISTORY: {
      const [, node] = FORMER.exec(match.text) ?? [];
      return node === name && !allocation ? [match] : [];
    }
    default:
      return [];
  }
}

function describeHolder(
  owner: Owner,
  { addresses, node }: {
    readonly addresses: readonly Address[];
    readonly node: string;
  },
): string {
  const held = addresses.map(formatAddress).join(" and ");
  return `${formatOwner(owner)} holds ${held} on ${node}`;
}

function foundAllocation(
  agent: Agent,
  node: string,
  allocation: Allocation,
): FoundMessage {
  const addresses = allocation.addresses.map(({ address }) => address);
  return {
    kind: FoundKind.ALLOCATION,
    node,
    text: describeHolder(allocation.owner, { addresses, node }),
    since: timestampFromMs(allocation.allocatedAtMs),
    allocation: allocationMessage(
      node,
      allocation,
      agent.addresses.stateOf(node, allocation),
    ),
  };
}

function foundFormer(record: HistoryRecord): FoundMessage {
  const { node, owner, address, allocatedAtMs, releasedAtMs, reason } = record;
  return {
    kind: FoundKind.HISTORY,
    node,
    text: `${formatOwner(owner)} held ${address} on ${node} (${reason})`,
    since: timestampFromMs(allocatedAtMs),
    ...releasedAtMs !== undefined && { until: timestampFromMs(releasedAtMs) },
  };
}

function foundSubnet(listing: SubnetListing): FoundMessage {
  const { subnet, state, node, reason, sinceMs } = listing;
  const of = node === ""
    ? ""
    : state === "owned"
    ? ` by ${node}`
    : ` (${node})`;
  const why = reason === "" ? "" : `: ${reason}`;
  return {
    kind: FoundKind.SUBNET,
    node,
    text: `the subnet ${formatPrefix(subnet)} is ${state}${of}${why}`,
    ...sinceMs !== undefined && { since: timestampFromMs(sinceMs) },
  };
}

function foundNode(
  { name, state, subnets, joinedAtMs }: ClusterNode,
): FoundMessage {
  const of = subnets.map(formatPrefix).join(" and ") || "no subnet";
  return {
    kind: FoundKind.NODE,
    node: name,
    text: `the node ${name} is ${state} and has ${of}`,
    ...joinedAtMs > 0 && { since: timestampFromMs(joinedAtMs) },
  };
}

function parseCount(
  field: string,
  value: number,
  { empty, most }: { readonly empty: number; readonly most: number },
): number {
  if (value === 0) return empty;
  if (value >= 1 && value <= most) return value;
  throw invalidField(field, `${value} is not 0 to ${most}`);
}

function parsePosition(text: string): EventPosition {
  const [, atMs, sequence] = /^(\d{1,16})-(\d{1,16})$/.exec(text) ?? [];
  if (atMs === undefined) throw new RangeError(`"${text}" is not a page token`);
  return [Number(atMs), Number(sequence)];
}
