import type { Allocation } from "../addresses/plan/allocation.ts";
import type { AgentMetrics } from "../base/agent_metrics.ts";
import { NetError } from "../base/error.ts";
import type { SharedRegistry } from "../registry/host.ts";
import { HEARTBEAT_INTERVAL_MS } from "../registry/liveness.ts";
import type {
  AgentIdentity,
  JoinAnswer,
  RegistryPeer,
} from "../registry/peer.ts";
import type { JoinRequest } from "../registry/plan/join_plan.ts";
import type { SubnetOwner } from "../registry/plan/restore_grace.ts";
import type { ClusterEvent } from "../registry/feed.ts";

/** Addresses in one page of a handover. */
const PAGE = 1000;

/** The registry that this agent hosts together with others, for its own node to join. */
export class LocalRegistryPeer implements RegistryPeer {
  readonly url = "";
  readonly #registry: SharedRegistry;

  constructor(registry: SharedRegistry) {
    this.#registry = registry;
  }

  async join(request: JoinRequest): Promise<JoinAnswer> {
    const { pools, cluster, restoreGrace } = await this.#registry.whenTried();
    const { clusterId, networks } = cluster;
    const joined = await pools.join(request);
    const isInRestoreGrace = restoreGrace.wantsReports;
    return { clusterId, networks, ...joined, isInRestoreGrace };
  }

  async reportOwners(
    agent: AgentIdentity,
    owners: readonly SubnetOwner[],
  ): Promise<void> {
    await this.#registry.require().acceptOwnerReport(agent, owners);
  }

  async heartbeat(
    { node, instanceId, processId }: AgentIdentity,
  ): Promise<number> {
    const { nodes } = this.#registry.require();
    await nodes.heartbeat(node, instanceId, processId);
    return HEARTBEAT_INTERVAL_MS;
  }

  async *watch(signal: AbortSignal): AsyncGenerator<ClusterEvent> {
    yield* this.#registry.require().nodes.watch(signal);
  }

  async *handover(agent: AgentIdentity): AsyncGenerator<readonly Allocation[]> {
    const { pools } = this.#registry.require();
    let page: Allocation[] = [];
    do {
      const behind = page.at(-1)?.addresses[0]?.address;
      page = await pools.handover(agent, { behind, limit: PAGE });
      yield page;
    } while (page.length === PAGE);
  }

  async finishHandover(agent: AgentIdentity): Promise<void> {
    await this.#registry.require().pools.finishHandover(agent);
  }

  async leave(agent: AgentIdentity): Promise<void> {
    await this.#registry.require().pools.remove({ ...agent, force: true });
  }
}

/** The same registry, with metrics of when it answers. */
export function measurePeer(
  peer: RegistryPeer,
  metrics: AgentMetrics,
): RegistryPeer {
  let isFollowed = false;

  async function measure<T>(call: Promise<T>): Promise<T> {
    try {
      const answer = await call;
      metrics.registryAnswered();
      return answer;
    } catch (error) {
      if (isAnswer(error)) metrics.registryAnswered();
      throw error;
    }
  }

  return {
    url: peer.url,
    join: (request, signal) => measure(peer.join(request, signal)),
    reportOwners: (agent, owners, signal) =>
      measure(peer.reportOwners(agent, owners, signal)),
    heartbeat: (agent, signal) => measure(peer.heartbeat(agent, signal)),
    async *watch(signal) {
      if (isFollowed) metrics.watchRestarted();
      isFollowed = true;
      for await (const event of peer.watch(signal)) {
        metrics.registryAnswered();
        yield event;
      }
    },
    handover: (agent, signal) => peer.handover(agent, signal),
    finishHandover: (agent, signal) =>
      measure(peer.finishHandover(agent, signal)),
    leave: (agent, signal) => measure(peer.leave(agent, signal)),
  };
}

/** Whether the registry itself has refused, rather than being out of reach. */
function isAnswer(error: unknown): boolean {
  return error instanceof NetError && error.code !== "unavailable" &&
    error.code !== "deadline_exceeded" && error.code !== "cancelled";
}
