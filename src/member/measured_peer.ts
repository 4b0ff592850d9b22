import { NetError } from "../base/error.ts";
import type { AgentMetrics } from "../base/agent_metrics.ts";
import type { RegistryPeer } from "../registry/peer.ts";

/** A registry of which is counted when it answers. It is the same in all else. */
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

/** Whether an error says that the registry has refused, not that it is out of reach. */
function isAnswer(error: unknown): boolean {
  return error instanceof NetError && error.code !== "unavailable" &&
    error.code !== "deadline_exceeded" && error.code !== "cancelled";
}
