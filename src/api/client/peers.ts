import { timestampMs } from "@bufbuild/protobuf/wkt";
import { createClient, type Transport } from "@connectrpc/connect";
import type { Agent } from "../../agent/agent.ts";
import { NetError } from "../../base/error.ts";
import { RecentMap } from "../../base/recent_map.ts";
import type { PeerAnswer } from "../../doctor/peer_checks.ts";
import { Severity } from "../../gen/stellar/net/v1/cluster_pb.ts";
import { AgentService } from "../../gen/stellar/net/v1/agent_pb.ts";
import type { ClusterNode } from "../../registry/feed.ts";

/** Limit on the agents to which connections are kept. */
const MAX_KEPT = 256;

/** The means to find and call other agents. */
export interface PeersOptions {
  readonly agent: Agent;
  /** Makes the transport to an agent's API. */
  readonly connect: (url: string) => Transport;
}

/** Another agent. */
export interface Peer {
  readonly url: string;
  readonly transport: Transport;
}

/** Why the agent of a node cannot be called; undefined if it can. */
export function whyNotCalled(
  { state, apiUrl }: Pick<ClusterNode, "state" | "apiUrl">,
): string | undefined {
  if (state === "unreachable") return "it sends no heartbeats";
  return apiUrl === ""
    ? "its agent listens on no address of its host"
    : undefined;
}

/** The other agents of the cluster, for calls that they answer. */
export class Peers {
  readonly #options: PeersOptions;
  readonly #transports = new RecentMap<string, Transport>(MAX_KEPT);

  constructor(options: PeersOptions) {
    this.#options = options;
  }

  /** The agent that answers for the addresses of a node; undefined for this one. */
  async ofNode(node: string): Promise<Peer | undefined> {
    const { agent } = this.#options;
    if (node === "" || node === agent.node) return undefined;
    const place = await agent.member.placeOf(node);
    switch (place.kind) {
      case "here":
        return undefined;
      case "agent":
        return this.#peerAt(place.url);
      case "registry":
        return this.registry();
    }
  }

  /** The agent that hosts the registry; undefined for this one.
   *
   * @throws {NetError} `unavailable` when it is unreachable,
   * `failed_precondition` when this node has left
   */
  registry(): Peer | undefined {
    const { agent } = this.#options;
    if (agent.isHost) return undefined;
    const { state, url, urls, problem } = agent.member.link;
    if (state === "left") {
      throw new NetError(
        "failed_precondition",
        `Cannot ask the registry: node "${agent.node}" has left the cluster; start its agent again to come back`,
      );
    }
    // A node that was fenced before its agent started has called nobody yet.
    if (state === "unreachable" || url === "") {
      throw new NetError(
        "unavailable",
        `Cannot reach the registry at ${urls.join(" or ")}: ${problem}`,
      );
    }
    return this.#peerAt(url);
  }

  #peerAt(url: string): Peer {
    return { url, transport: this.at(url) };
  }

  /** The agent at a URL. */
  at(url: string): Transport {
    const known = this.#transports.get(url);
    if (known) return known;
    const transport = this.#options.connect(url);
    this.#transports.set(url, transport);
    return transport;
  }
}

const TIMEOUT_MS = 3_000;

/** Asks an agent for its identity and its clock.
 *
 * @throws {NetError} when it does not answer within three seconds
 */
export async function askAgent(transport: Transport): Promise<PeerAnswer> {
  const client = createClient(AgentService, transport);
  const status = await client.getStatus({}, { timeoutMs: TIMEOUT_MS });
  const { node, instanceId, version, now, problems } = status;
  return {
    ...{ node, instanceId, version, nowMs: now ? timestampMs(now) : 0 },
    problems: problems.map(({ code, severity, text, fix }) => ({
      ...{ code, isError: severity === Severity.ERROR, text, fix },
    })),
  };
}
