import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { createClient } from "@connectrpc/connect";
import type { Agent } from "../../agent/agent.ts";
import { mapBounded } from "../../base/map_bounded.ts";
import { parseNodeName } from "../../base/names.ts";
import type { EventLog } from "../../cluster/event_log.ts";
import { acceptReport } from "../../cluster/plan/accept_report.ts";
import { type ClusterSummary, summarize } from "../../cluster/plan/overview.ts";
import type { ReceivedReport, Reports } from "../../cluster/reports.ts";
import type { Forecast } from "../../cluster/plan/forecast.ts";
import type { Counted } from "../../cluster/samples.ts";
import type { ReportSource } from "../../cluster/report_source.ts";
import type { HostEntry } from "../../cluster/view_feed.ts";
import {
  ClusterService,
  type GetOverviewRequest,
  type GetOverviewResponseSchema,
  HostSummarySchema,
  type NetworkUseSchema,
  ProblemSchema,
} from "../../gen/stellar/net/v1/cluster_pb.ts";
import type { ClusterNode } from "../../registry/feed.ts";
import type { PathView } from "../../probe/plan/verdict.ts";
import type { ProbeKey } from "../../probe/seal.ts";
import type { RegistryHost } from "../../registry/host.ts";
import type { Peers } from "../client/peers.ts";
import { networkMessage } from "../messages/addresses.ts";
import {
  problemMessage,
  readReport,
  reportMessage,
} from "../messages/cluster.ts";
import { nodeMessage } from "../messages/nodes.ts";
import { cutPage, fill, MAX_PAGE_BYTES } from "../messages/pages.ts";

/** Time for the answer of one host, in ms. */
export const HOST_TIMEOUT_MS = 2_000;
/** Age at which a report of a host that sends its heartbeats elsewhere is asked for again, in ms. */
const ASK_AGE_MS = 7_500;
/** Hosts that are asked for their reports in one round. */
const MAX_ASKED = 64;
/** Hosts that are asked at once. */
export const HOSTS_AT_ONCE = 32;

/** An agent's view of its own host and, if it hosts the registry, of all hosts. */
export interface ClusterParts {
  readonly source: ReportSource;
  readonly reports: Reports;
  readonly events: EventLog;
  /** The trend of the subnets of a network that are taken. */
  readonly forecast: (counted: Counted) => Forecast | undefined;
  /** The keys of probes that the registry hands out; undefined where this agent hosts none. */
  readonly probeKeys?: () => readonly ProbeKey[];
  /** The paths from this host; undefined if it does not probe. */
  readonly paths?: () => readonly PathView[];
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

/** The cluster on one screen, with a page of its hosts. */
export async function readOverview(
  part: ClusterOptions,
  request: GetOverviewRequest,
): Promise<MessageInitShape<typeof GetOverviewResponseSchema>> {
  const nodes = await part.host().nodes.list();
  const hosts = await mapBounded(nodes, async (node) => ({
    node,
    received: await reportOf(part, node),
  }), { atOnce: HOSTS_AT_ONCE });
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
    ...summaryMessage(await summarizeHosts(part, hosts)),
    hosts: page,
    nextPageToken,
    now: timestampFromMs(part.now()),
  };
}

/** Sums up the cluster from its hosts and the registry's subnets. */
export async function summarizeHosts(
  { host, forecast }: Pick<ClusterOptions, "host" | "forecast">,
  hosts: readonly HostEntry[],
): Promise<ClusterSummary> {
  return summarize(
    hosts.map(({ node: { name, state, problem, joinedAtMs }, received }) => ({
      ...{ name, state },
      report: received?.report,
      ...problem !== undefined && { identityProblem: problem },
      isRefused: joinedAtMs === 0,
    })),
    {
      networks: host().cluster.networks,
      subnets: await host().registry.subnets(),
      forecast,
    },
  );
}

/**
 * A node's report: the one that it has sent here, else the one that it answers
 * with, else the last one that is known, which its time marks as old.
 */
async function reportOf(
  part: ClusterOptions,
  node: ClusterNode,
): Promise<ReceivedReport | undefined> {
  const { agent, source, reports, now } = part;
  if (node.name === agent.node) {
    return { report: await source.read(), asOfMs: now() };
  }
  const fresh = reports.fresh(node.name);
  if (fresh) return fresh;
  const answered = await askForReport(part, node);
  if (!answered) return reports.get(node.name);
  reports.receive(node.name, answered.report);
  return answered;
}

/**
 * Asks hosts for their reports, those with the oldest first, where other agents
 * of the registry hear the heartbeats: metrics count what is in memory.
 */
export async function refreshReports(
  part: Pick<ClusterOptions, "agent" | "peers" | "reports" | "now">,
  nodes: Iterable<ClusterNode>,
): Promise<void> {
  const { agent, reports, now } = part;
  const asOf = ({ name }: ClusterNode) => reports.get(name)?.asOfMs ?? 0;
  const old = [...nodes].filter((node) =>
    node.name !== agent.node && now() - asOf(node) >= ASK_AGE_MS
  ).sort((a, b) => asOf(a) - asOf(b)).slice(0, MAX_ASKED);
  await mapBounded(old, async (node) => {
    const answered = await askForReport(part, node);
    if (answered) reports.receive(node.name, answered.report);
  }, { atOnce: HOSTS_AT_ONCE });
}

/** The report that a host answers with; undefined if it does not. */
export async function askForReport(
  { peers, now }: Pick<ClusterOptions, "peers" | "now">,
  { state, apiUrl, subnets }: ClusterNode,
): Promise<ReceivedReport | undefined> {
  if (state !== "ready" || apiUrl === "") return undefined;
  try {
    const { report } = await createClient(ClusterService, peers.at(apiUrl))
      .getReport({}, { timeoutMs: HOST_TIMEOUT_MS });
    return report &&
      { report: acceptReport(readReport(report), subnets), asOfMs: now() };
  } catch {
    // A host of an earlier version, or one that does not answer: it is listed
    // without a report.
    return undefined;
  }
}

export function hostSummary(
  { node, received }: HostEntry,
): MessageInitShape<typeof HostSummarySchema> {
  return {
    node: nodeMessage(node),
    ...received && {
      report: reportMessage(received.report),
      reportedAt: timestampFromMs(received.asOfMs),
    },
  };
}

export function summaryMessage(
  { verdict, problems, networks }: ClusterSummary,
): {
  readonly verdict: string;
  readonly problems: MessageInitShape<typeof ProblemSchema>[];
  readonly networks: MessageInitShape<typeof NetworkUseSchema>[];
} {
  return {
    verdict,
    problems: fill(problems, {
      schema: ProblemSchema,
      message: problemMessage,
    }, MAX_PAGE_BYTES / 4),
    networks: networks.map((
      { carve, subnets, owned, blocked, held, capacity, ...trend },
    ) => ({
      ...{ subnets, capacity },
      ...trend.perDay !== undefined && { growthPerDay: trend.perDay },
      ...trend.fullAtMs !== undefined &&
        { fullAt: timestampFromMs(trend.fullAtMs) },
      ...trend.fastest && {
        fastestNode: trend.fastest.node,
        fastestPerDay: trend.fastest.perDay,
      },
      network: networkMessage(carve),
      owned: BigInt(owned),
      blocked: BigInt(blocked),
      held: BigInt(held),
    })),
  };
}
