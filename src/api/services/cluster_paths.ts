import type { MessageInitShape } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { mapBounded } from "../../base/map_bounded.ts";
import { parseNodeName } from "../../base/names.ts";
import { AgentService } from "../../gen/stellar/net/v1/agent_pb.ts";
import type {
  GetPathsRequest,
  GetPathsResponseSchema,
  ProbedPathSchema,
} from "../../gen/stellar/net/v1/cluster_pb.ts";
import type { PathState } from "../../probe/plan/path.ts";
import type { ClusterNode } from "../../registry/feed.ts";
import { pathsMessage } from "../messages/cluster.ts";
import { invalidField, parseField } from "../messages/fields.ts";
import {
  type ClusterOptions,
  HOST_TIMEOUT_MS,
  HOSTS_AT_ONCE,
} from "./cluster_overview.ts";

/** Hosts that are asked for one answer. */
const MAX_HOSTS = 64;
/** Paths of one host that are listed. */
const MAX_PATHS = 64;
/** The states of paths, the worst first. */
const WORST_FIRST: readonly PathState[] = [
  ...["dead", "narrow", "lossy"] as const,
  ...["unanswered", "unmeasured", "alive"] as const,
];

type PathMessage = MessageInitShape<typeof ProbedPathSchema>;

/** A path with the host that measures it. */
export interface HostPath {
  readonly node: string;
  readonly path: PathMessage;
}

/** Lists the paths between hosts, the worst first. */
export async function getPaths(
  { agent, host, peers, reports, paths }: Pick<
    ClusterOptions,
    "agent" | "host" | "peers" | "reports" | "paths"
  >,
  request: Pick<GetPathsRequest, "nodes">,
): Promise<MessageInitShape<typeof GetPathsResponseSchema>> {
  if (request.nodes.length > MAX_HOSTS) {
    throw invalidField(
      "nodes",
      `there are ${request.nodes.length} of them, and ${MAX_HOSTS} are the most`,
    );
  }
  const wanted = request.nodes.map((name, i) =>
    parseField(`nodes[${i}]`, name, parseNodeName)
  );
  const nodes = await host().nodes.list();
  const known = new Set(nodes.map(({ name }) => name));
  const asked = chooseHosts(nodes, {
    wanted,
    faultsOf: (name) => {
      const { dead = 0, narrow = 0, lossy = 0 } = reports.get(name)?.report
        .probes ?? {};
      return dead + narrow + lossy;
    },
  });
  const answers = await mapBounded(asked, async ({ name, apiUrl }) => {
    if (name === agent.node) {
      return { name, paths: pathsMessage(paths?.()).paths ?? [] };
    }
    try {
      const { paths } = await createClient(AgentService, peers.at(apiUrl))
        .getStatus({}, { timeoutMs: HOST_TIMEOUT_MS });
      return { name, paths: acceptPaths(paths, { of: name, known }) };
    } catch {
      return { name, paths: undefined };
    }
  }, { atOnce: HOSTS_AT_ONCE });
  const found = answers.flatMap(({ name, paths = [] }) =>
    paths.map((path) => ({ node: name, path }))
  );
  return {
    paths: found.sort(compareHostPaths),
    silentNodes: answers.flatMap(({ name, paths }) => paths ? [] : name).sort(),
    asked: asked.length,
    hosts: nodes.length,
  };
}

/** The hosts to ask: those that are wanted, or those that can answer, the faultiest first. */
export function chooseHosts<
  Node extends Pick<ClusterNode, "name" | "state" | "apiUrl">,
>(
  nodes: readonly Node[],
  { wanted, faultsOf }: {
    readonly wanted: readonly string[];
    /** Number of faulty paths that a host has reported. */
    readonly faultsOf: (name: string) => number;
  },
): Node[] {
  if (wanted.length > 0) {
    return nodes.filter(({ name }) => wanted.includes(name));
  }
  return nodes.filter(({ state }) => state === "ready")
    .map((node) => ({ node, faults: faultsOf(node.name) }))
    .sort((a, b) => b.faults - a.faults || (a.node.name < b.node.name ? -1 : 1))
    .slice(0, MAX_HOSTS)
    .map(({ node }) => node);
}

/**
 * The paths of a host that count: a host that was broken into answers what it
 * likes, and all operators see it. It speaks of paths from itself to other
 * hosts of the cluster, with numbers that are possible.
 */
export function acceptPaths<P extends PathMessage>(
  paths: readonly P[],
  { of, known }: { readonly of: string; readonly known: ReadonlySet<string> },
): P[] {
  const isShare = (value = 0) => value >= 0 && value <= 1;
  return paths.filter(
    ({ peer = "", state, lossIn, lossOut, rttSeconds = 0, mtuBytes = 0 }) =>
      peer !== of && known.has(peer) &&
      WORST_FIRST.some((name) => name === state) && isShare(lossIn) &&
      isShare(lossOut) && rttSeconds >= 0 && rttSeconds < 3600 &&
      mtuBytes >= 0 && mtuBytes <= 65_535,
  ).slice(0, MAX_PATHS);
}

/** Orders paths: by state, loss, round-trip time, the worst first, then by name. */
export function compareHostPaths(a: HostPath, b: HostPath): number {
  const rank = ({ path }: HostPath) =>
    WORST_FIRST.findIndex((state) => state === path.state);
  const loss = ({ path: { lossIn = 0, lossOut = 0 } }: HostPath) =>
    Math.max(lossIn, lossOut);
  const key = ({ node, path }: HostPath) => `${node} ${path.peer}`;
  return rank(a) - rank(b) || loss(b) - loss(a) ||
    (b.path.rttSeconds ?? 0) - (a.path.rttSeconds ?? 0) ||
    (key(a) < key(b) ? -1 : 1);
}
