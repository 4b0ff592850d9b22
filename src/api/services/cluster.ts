import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { createClient, type ServiceImpl } from "@connectrpc/connect";
import type { Agent } from "../../agent/agent.ts";
import type { HistoryRecord } from "../../addresses/history.ts";
import type { Allocation } from "../../addresses/plan/allocation.ts";
import {
  formatOwner,
  type Owner,
  parseNodeName,
  parseText,
} from "../../base/names.ts";
import type { EventLog, EventPosition } from "../../cluster/event_log.ts";
import type { Reports } from "../../cluster/reports.ts";
import {
  collectProblems,
  describeVerdict,
} from "../../cluster/plan/overview.ts";
import { acceptReport } from "../../cluster/plan/accept_report.ts";
import type { Report } from "../../cluster/plan/report.ts";
import type { ReportSource } from "../../cluster/report_source.ts";
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
  HostSummarySchema,
  type NetworkUseSchema,
  ProblemSchema,
} from "../../gen/stellar/net/v1/cluster_pb.ts";
import { type Carve, sliceCount } from "../../net/carve.ts";
import {
  type Address,
  formatAddress,
  parseAddress,
} from "../../net/address.ts";
import {
  containsAddress,
  containsPrefix,
  formatPrefix,
  overlaps,
  parsePrefix,
} from "../../net/prefix.ts";
import type { RegistryHost } from "../../registry/host.ts";
import type { SubnetListing } from "../../registry/plan/subnet_listing.ts";
import type { ClusterNode } from "../../registry/feed.ts";
import type { Peers } from "../client/peers.ts";
import { allocationMessage, networkMessage } from "../messages/addresses.ts";
import {
  eventMessage,
  problemMessage,
  readReport,
  reportMessage,
} from "../messages/cluster.ts";
import {
  invalidField,
  parseField,
  parseOptional,
  parseOwner,
} from "../messages/fields.ts";
import { nodeMessage } from "../messages/nodes.ts";
import {
  cutPage,
  fill,
  MAX_PAGE_BYTES,
  parsePageSize,
} from "../messages/pages.ts";

type FoundMessage = MessageInitShape<typeof FoundSchema>;

/** Time for the answer of one host, in ms. */
const HOST_TIMEOUT_MS = 2_000;
/** Hosts that are asked at once. */
const HOSTS_AT_ONCE = 32;
/** Longest text of a match that another agent has found. */
const MAX_FOUND_TEXT = 1_024;
/** The text about a former holder, on one line, with its node. */
const FORMER = /^"[^"\p{C}]+" \([^)\p{C}]+\) held \S+ on (\S+) \([^\p{C}]*\)$/u;
const DEFAULT_HISTORY = 5;
const MAX_HISTORY = 100;

/** An agent's view of its own host and, if it hosts the registry, of all hosts. */
export interface ClusterParts {
  readonly source: ReportSource;
  readonly reports: Reports;
  readonly events: EventLog;
}

/** Options of {@linkcode createCluster}. */
export interface ClusterOptions extends ClusterParts {
  readonly agent: Agent;
  readonly peers: Peers;
  /** @throws {NetError} `unavailable` while the registry's store is out of reach */
  readonly host: () => RegistryHost;
  /** The time in ms since 1970. */
  readonly now: () => number;
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
  part: ClusterOptions,
): ServiceImpl<typeof ClusterService> {
  const { events, host, now } = part;
  return {
    ...createClusterHere(part),

    async getOverview(request) {
      const nodes = await host().nodes.list();
      const hosts = await mapBounded(nodes, async (node) => ({
        node,
        ...await reportOf(part, node),
      }));
      const problems = collectProblems(
        hosts.map(({ node, report }) => ({ ...node, report })),
      );
      const subnets = await host().registry.subnets();
      const reports = hosts.flatMap(({ report }) => report ?? []);
      const { page, nextPageToken } = cutPage(hosts, request, {
        schema: HostSummarySchema,
        message: hostSummary,
        keyOf: ({ node }) => node.name,
        behind: (key) => {
          const last = parseNodeName(key);
          return ({ node }) => node.name > last;
        },
        maxBytes: MAX_PAGE_BYTES / 2,
        maxItems: hosts.length,
      });
      return {
        verdict: describeVerdict(problems, nodes.length),
        problems: fill(problems, {
          schema: ProblemSchema,
          message: problemMessage,
        }, MAX_PAGE_BYTES / 4),
        networks: host().cluster.networks.map((network) =>
          networkUse(network, subnets, reports)
        ),
        hosts: page,
        nextPageToken,
        now: timestampFromMs(now()),
      };
    },

    async find(request) {
      return await findAnywhere(part, readSearch(request));
    },

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
  };
}

/** A node's last report, or the one that it answers with if it has sent none here. */
async function reportOf(
  { agent, source, reports, peers, now }: ClusterOptions,
  node: ClusterNode,
): Promise<{
  readonly report: Report | undefined;
  readonly reportedAtMs?: number;
}> {
  if (node.name === agent.node) {
    return { report: await source.read(), reportedAtMs: now() };
  }
  const received = reports.get(node.name);
  if (received) {
    return { report: received.report, reportedAtMs: received.receivedAtMs };
  }
  if (node.state !== "ready" || node.apiUrl === "") {
    return { report: undefined };
  }
  try {
    const { report } = await createClient(ClusterService, peers.at(node.apiUrl))
      .getReport({}, { timeoutMs: HOST_TIMEOUT_MS });
    return report
      ? {
        report: acceptReport(readReport(report), node.subnets),
        reportedAtMs: now(),
      }
      : { report: undefined };
  } catch {
    // A host of an earlier version, or one that does not answer: it is listed
    // without a report.
    return { report: undefined };
  }
}

function hostSummary(
  { node, report, reportedAtMs }: {
    readonly node: ClusterNode;
    readonly report: Report | undefined;
    readonly reportedAtMs?: number;
  },
): MessageInitShape<typeof HostSummarySchema> {
  return {
    node: nodeMessage(node),
    ...report && { report: reportMessage(report) },
    ...reportedAtMs !== undefined &&
      { reportedAt: timestampFromMs(reportedAtMs) },
  };
}

function networkUse(
  carve: Carve,
  listings: readonly SubnetListing[],
  reports: readonly Report[],
): MessageInitShape<typeof NetworkUseSchema> {
  const inside = listings
    .filter(({ subnet }) => containsPrefix(carve.network, subnet));
  const owned = inside.filter(({ state }) => state === "owned").length;
  const released = inside.filter(({ state }) => state === "released").length;
  const used = reports.flatMap(({ subnets }) => subnets)
    .filter(({ cidr }) => overlaps(carve.network, parsePrefix(cidr)));
  return {
    network: networkMessage(carve),
    subnets: Number(sliceCount(carve)),
    owned: BigInt(owned),
    blocked: BigInt(inside.length - owned - released),
    capacity: used.reduce((sum, { capacity }) => sum + capacity, 0),
    held: BigInt(used.reduce((sum, { held }) => sum + held, 0)),
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
  })).flat();
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

/** Runs a function for each item, some of them at once, in the order of the items. */
async function mapBounded<T, R>(
  items: readonly T[],
  run: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const work = async () => {
    while (next < items.length) {
      const i = next++;
      results[i] = await run(items[i]!);
    }
  };
  await Promise.all(Array.from({ length: HOSTS_AT_ONCE }, work));
  return results;
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
