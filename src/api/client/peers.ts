import { timestampMs } from "@bufbuild/protobuf/wkt";
import { createClient, type Transport } from "@connectrpc/connect";
import type { Agent } from "../../agent/agent.ts";
import { NetError } from "../../base/error.ts";
import type { PeerAnswer } from "../../doctor/peer_checks.ts";
import { AgentService } from "../../gen/stellar/net/v1/agent_pb.ts";

/** Other agents that connections are kept to. */
const MAX_KEPT = 256;

/** What other agents are found with. */
export interface PeersOptions {
  readonly agent: Agent;
  /** Makes the transport to an agent's API. It connects when it is used. */
  readonly connect: (url: string) => Transport;
}

/** Another agent that is asked. */
export interface Peer {
  readonly url: string;
  readonly transport: Transport;
}

/** The other agents of the cluster, for calls that are theirs to answer. */
export class Peers {
  readonly #options: PeersOptions;
  readonly #transports = new Map<string, Transport>();

  constructor(options: PeersOptions) {
    this.#options = options;
  }

  /** Who answers for the addresses of a node; undefined for this agent. */
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

  /**
   * Who hosts the registry; undefined for this agent.
   *
   * @throws {NetError} `unavailable` when it is out of reach,
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
    // A node that was fenced before its agent started has asked nobody yet.
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
    for (const oldest of this.#transports.keys()) {
      if (this.#transports.size < MAX_KEPT) break;
      this.#transports.delete(oldest);
    }
    const transport = this.#options.connect(url);
    this.#transports.set(url, transport);
    return transport;
  }
}

const TIMEOUT_MS = 3_000;

/**
 * Asks an agent who it is.
 *
 * @throws {NetError} when it does not answer within some seconds
 */
export async function askAgent(transport: Transport): Promise<PeerAnswer> {
  const client = createClient(AgentService, transport);
  const { node, instanceId, version, now } = await client.getStatus(
    {},
    { timeoutMs: TIMEOUT_MS },
  );
  return { node, instanceId, version, nowMs: now ? timestampMs(now) : 0 };
}
