import { Buffer } from "node:buffer";
import { getLogger } from "@logtape/logtape";
import { type Client, createClient, type Transport } from "@connectrpc/connect";
import {
  durationMs,
  timestampFromMs,
  timestampMs,
} from "@bufbuild/protobuf/wkt";
import { provenClockOffsetMs } from "../../base/clock_offset.ts";
import type { ClusterEvent, ClusterNode } from "../../registry/feed.ts";
import type {
  AgentIdentity,
  JoinAnswer,
  RegistryPeer,
} from "../../registry/peer.ts";
import type { JoinRequest } from "../../registry/plan/join_plan.ts";
import type { SubnetOwner } from "../../registry/plan/restore_grace.ts";
import type { RouteRecord } from "../../registry/plan/cluster_state.ts";
import type { Allocation as AllocationMessage } from "../../gen/stellar/net/v1/ipam_pb.ts";
import {
  type Node,
  NodeState,
  type ProbeKey as ProbeKeyMessage,
  RegistryService,
  type Route,
  type WatchResponse,
} from "../../gen/stellar/net/v1/registry_pb.ts";
import type { Allocation } from "../../addresses/plan/allocation.ts";
import { formatAddress, parseAddress } from "../../net/address.ts";
import { createCarve } from "../../net/carve.ts";
import { formatPrefix, parsePrefix } from "../../net/prefix.ts";
import type { ProbeKey } from "../../probe/seal.ts";
import { digestReport } from "../../cluster/reports.ts";
import { readTrust } from "../messages/identity.ts";

const log = getLogger(["stellar-net", "rpc"]);

const STATES: Readonly<Record<NodeState, ClusterNode["state"]>> = {
  [NodeState.UNSPECIFIED]: "unreachable",
  [NodeState.READY]: "ready",
  [NodeState.UNREACHABLE]: "unreachable",
  [NodeState.NO_AGENT]: "no agent",
};

/** Deadline of each call of a handover, in ms. */
const HANDOVER_TIMEOUT_MS = 10_000;

/** Time until a report is sent again that the registry did not take, in ms. */
const RESEND_MS = 1_100;

const NO_BYTES = new Uint8Array(0);

export interface RpcRegistryPeerOptions {
  /**
   * Called after each heartbeat with how far this host's clock is ahead of the
   * registry's at least, in ms: negative when it is behind.
   */
  readonly onClockOffset?: (offsetMs: number) => void;
  /** Encodes this host's present report, which heartbeats carry when it has changed. */
  readonly report?: () => Promise<Uint8Array<ArrayBuffer>>;
  /** The keys of probes that this host knows, and takes from heartbeats. */
  readonly probeKeys?: {
    readonly digest: number;
    update(keys: readonly ProbeKey[]): Promise<void>;
  };
  /** The events of this host that wait for the registry. */
  readonly journal?: HeartbeatJournal;
}

/** Events for heartbeats. */
export interface HeartbeatJournal {
  readonly oldest: readonly {
    readonly number: number;
    /** In ms since 1970. */
    readonly atMs: number;
    readonly kind: string;
    readonly subject: string;
    readonly text: string;
  }[];
  /** The registry has the events up to a number. */
  acknowledge(number: number): void;
}

/** The registry behind an agent's API. */
export class RpcRegistryPeer implements RegistryPeer {
  readonly url: string;
  readonly #client: Client<typeof RegistryService>;
  readonly #options: RpcRegistryPeerOptions;
  /** The last report that the registry has; undefined if it has none. */
  #sentReport: Uint8Array | undefined;
  /** The marker of the registry's last answer; 0: none. */
  #marker = 0;

  constructor(
    url: string,
    transport: Transport,
    options: RpcRegistryPeerOptions = {},
  ) {
    this.url = url;
    this.#options = options;
    this.#client = createClient(RegistryService, transport);
  }

  async join(request: JoinRequest, signal: AbortSignal): Promise<JoinAnswer> {
    const answer = await this.#client.join({
      node: request.node,
      instanceId: request.instanceId,
      advertised: request.advertised.map(formatAddress),
      apiUrl: request.apiUrl,
      localPrefixes: request.localPrefixes.map(({ prefix, device }) => ({
        cidr: formatPrefix(prefix),
        device,
      })),
      heldSubnets: request.heldSubnets.map(formatPrefix),
      clusterId: request.clusterId,
      processId: request.processId ?? "",
      revision: BigInt(request.revision ?? 0),
      marker: this.#marker,
    }, { signal });
    this.#marker = answer.marker;
    return {
      clusterId: answer.clusterId,
      networks: answer.networks.map(({ cidr, subnetPrefixLength }) =>
        createCarve(parsePrefix(cidr), subnetPrefixLength)
      ),
      subnets: answer.subnets.map((cidr) => parsePrefix(cidr)),
      hasHandover: answer.handover,
      isInRestoreGrace: answer.settling,
    };
  }

  async reportOwners(
    agent: AgentIdentity,
    owners: readonly SubnetOwner[],
    signal: AbortSignal,
  ): Promise<void> {
    const { node, instanceId } = agent;
    await this.#client.reportOwners({
      node,
      instanceId,
      owners: owners.map(({ node, subnet }) => ({
        node,
        cidr: formatPrefix(subnet),
      })),
    }, { signal });
  }

  async heartbeat(agent: AgentIdentity, signal: AbortSignal): Promise<number> {
    const { node, instanceId, processId = "" } = agent;
    const report = await this.#options.report?.() ?? NO_BYTES;
    const isSame = this.#sentReport !== undefined &&
      Buffer.compare(this.#sentReport, report) === 0;
    const { probeKeys, journal } = this.#options;
    const events = (journal?.oldest ?? []).map(
      ({ number, atMs, kind, subject, text }) => ({
        ...{ kind, subject, text },
        number: BigInt(number),
        at: timestampFromMs(atMs),
      }),
    );
    const askedMs = Date.now();
    const answer = await this.#client.heartbeat({
      ...{ node, instanceId, processId, events },
      report: isSame ? NO_BYTES : report,
      reportDigest: digestReport(report),
      marker: this.#marker,
      probeKeysDigest: probeKeys?.digest ?? 0,
    }, { signal });
    const answeredMs = Date.now();
    this.#marker = answer.marker;
    const { intervalMs, time, wantsReport, eventsNumber } = answer;
    if (eventsNumber > 0n) journal?.acknowledge(Number(eventsNumber));
    if (answer.probeKeys.length > 0) {
      await probeKeys?.update(answer.probeKeys.map(readProbeKey));
    }
    this.#sentReport = wantsReport ? undefined : report;
    if (time) {
      const ours = { askedMs, answeredMs };
      const offsetMs = provenClockOffsetMs(ours, timestampMs(time));
      this.#options.onClockOffset?.(offsetMs);
    }
    // A report that came too soon after the one before is not lost.
    return wantsReport && report.length > 0
      ? Math.min(intervalMs, RESEND_MS)
      : intervalMs;
  }

  async *watch(signal: AbortSignal): AsyncGenerator<ClusterEvent> {
    const messages = this.#client.watch({ parts: true }, { signal });
    let parts: WatchResponse[] = [];
    for await (const message of messages) {
      parts.push(message);
      if (message.more) continue;
      const [first] = parts;
      yield {
        revision: Number(message.revision),
        isSnapshot: message.snapshot,
        nodes: parts.flatMap(({ nodes }) => nodes.map(readNode)),
        routes: parts.flatMap(({ routes }) => routes.map(readRoute)),
        removedNodes: parts.flatMap(({ removedNodes }) => removedNodes),
        removedRoutes: parts.flatMap(({ removedRoutes }) => removedRoutes),
        ...this.#trustPart(first!),
      };
      parts = [];
    }
  }

  /** Invalid trust leaves the known one in force, and does not stop routes. */
  #trustPart({ trust }: WatchResponse): Pick<ClusterEvent, "trust"> {
    try {
      return trust ? { trust: readTrust(trust) } : {};
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      log.warn("Cannot read the trust of {url}: {error}; update this agent", {
        url: this.url,
        error: error.message,
      });
      return {};
    }
  }

  async *handover(
    agent: AgentIdentity,
    signal: AbortSignal,
  ): AsyncGenerator<readonly Allocation[]> {
    const { node, instanceId } = agent;
    let pageToken = "";
    do {
      const page = await this.#client.getHandover(
        { node, instanceId, pageToken },
        { signal, timeoutMs: HANDOVER_TIMEOUT_MS },
      );
      yield page.allocations.map(readAllocation);
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
  }

  async finishHandover(
    agent: AgentIdentity,
    signal: AbortSignal,
  ): Promise<void> {
    const { node, instanceId } = agent;
    await this.#client.finishHandover(
      { node, instanceId },
      { signal, timeoutMs: HANDOVER_TIMEOUT_MS },
    );
  }

  async leave(agent: AgentIdentity, signal: AbortSignal): Promise<void> {
    const { node, instanceId } = agent;
    await this.#client.removeNode(
      { node, instanceId, force: true },
      { signal },
    );
  }
}

/** Copies the secret: the message's bytes belong to a buffer of its own. */
function readProbeKey({ id, secret }: ProbeKeyMessage): ProbeKey {
  return { id, secret: new Uint8Array(secret) };
}

function readNode(message: Node): ClusterNode {
  const { name, apiUrl, state, joinedAt, seenAt, problem } = message;
  return {
    name,
    subnets: message.subnets.map((cidr) => parsePrefix(cidr)),
    advertised: message.advertised.map(parseAddress),
    apiUrl,
    state: STATES[state],
    joinedAtMs: joinedAt ? timestampMs(joinedAt) : 0,
    seenAtMs: seenAt && timestampMs(seenAt),
    ...problem !== "" && { problem },
  };
}

function readRoute({ cidr, target, addedAt }: Route): RouteRecord {
  return {
    destination: parsePrefix(cidr),
    target: parseAddress(target),
    addedAtMs: addedAt ? timestampMs(addedAt) : 0,
  };
}

function readAllocation(message: AllocationMessage): Allocation {
  const { owner, allocatedAt, requested } = message;
  const allocatedAtMs = allocatedAt ? timestampMs(allocatedAt) : 0;
  return {
    // An older registry sends no ids.
    id: message.id === "" ? `since-${allocatedAtMs}` : message.id,
    owner: {
      network: owner?.network ?? "",
      containerId: owner?.containerId ?? "",
      interfaceName: owner?.interfaceName ?? "",
    },
    addresses: message.addresses.map(({ address, subnet }) => ({
      address: parseAddress(address),
      subnet: parsePrefix(subnet),
    })),
    allocatedAtMs,
    requested,
    ...Object.keys(message.labels).length > 0 && { labels: message.labels },
    ...message.ttl && { ttlMs: durationMs(message.ttl) },
  };
}
