import type { ClusterNode } from "../../src/registry/feed.ts";
import type { PathFacts, PeerAnswer } from "../../src/doctor/peer_checks.ts";
import { createReport } from "../../src/routes/report.ts";
import { parseAddress } from "../../src/net/address.ts";
import { parsePrefix } from "../../src/net/prefix.ts";
import type { RouteStatus } from "../../src/routes/plan/route_plan.ts";

/** The mark of our own routes. */
export const PROTOCOL = 83;
export const VERSION = "1.2.3";
export const NOW_MS = 1_700_000_000_000;
export const PEER_URL = "http://198.18.0.2:9000";

/** A peer in texts: addresses and subnets separated by spaces. */
export function peerNode(
  options: {
    readonly name?: string;
    readonly advertised?: string;
    readonly subnets?: string;
    readonly apiUrl?: string;
    readonly state?: ClusterNode["state"];
    readonly seenAtMs?: number;
  } = {},
): ClusterNode {
  return {
    name: options.name ?? "b",
    subnets: words(options.subnets ?? "172.16.4.0/22").map(parsePrefix),
    advertised: words(options.advertised ?? "198.18.0.2").map(parseAddress),
    apiUrl: options.apiUrl ?? PEER_URL,
    state: options.state ?? "ready",
    joinedAtMs: 0,
    seenAtMs: options.seenAtMs,
  };
}

/** What the agent of the peer says when all is well. */
export function peerAnswer(changes: Partial<PeerAnswer> = {}): PeerAnswer {
  return {
    node: "b",
    instanceId: "id of b",
    version: VERSION,
    nowMs: NOW_MS,
    problems: [],
    ...changes,
  };
}

/** A report of some routes. */
export function routeReport(
  routes: readonly RouteStatus[],
  changes: Partial<PathFacts["report"]> = {},
): PathFacts["report"] {
  return createReport({
    mode: "apply",
    readAtMs: NOW_MS,
    routes,
    operations: [],
    repaired: { count: 0, byCause: {}, lastAtMs: undefined },
    error: undefined,
    ...changes,
  });
}

/** What the agent of node "a" knows, with a peer that answers as it should. */
export function pathFacts(changes: Partial<PathFacts> = {}): PathFacts {
  return {
    node: "a",
    instanceId: "id of a",
    isCurrent: true,
    version: VERSION,
    now: () => NOW_MS,
    subnets: [parsePrefix("172.16.0.0/22")],
    nodes: [],
    interfaces: { links: [], defaultRoutes: [] },
    report: routeReport([]),
    protocol: PROTOCOL,
    callPeer: () => Promise.resolve(peerAnswer()),
    ...changes,
  };
}

function words(text: string): string[] {
  return text.split(" ").filter((word) => word !== "");
}
