import type { JoinRequest } from "../cluster/join.ts";
import type { SubnetOwner } from "../cluster/settling.ts";
import type { Allocation } from "../ipam/allocation.ts";
import type { ClusterEvent } from "./cluster_view.ts";
import { HEARTBEAT_INTERVAL_MS } from "./liveness.ts";
import type { RegistryHost } from "./registry_host.ts";
import type {
  AgentIdentity,
  JoinAnswer,
  RegistryPeer,
} from "./registry_peer.ts";

const PAGE = 1000;

/** The registry that this very agent hosts, as its own node joins it. */
export class LocalRegistryPeer implements RegistryPeer {
  readonly url = "";
  readonly #host: () => RegistryHost;

  /** @param host throws `unavailable` while the registry's store is out of reach */
  constructor(host: () => RegistryHost) {
    this.#host = host;
  }

  async join(request: JoinRequest): Promise<JoinAnswer> {
    const { pools, cluster } = this.#host();
    const { subnets, hasHandover } = await pools.join(request);
    const { clusterId, networks } = cluster;
    // What is shared is not restored from a backup of one of its hosts.
    return { clusterId, networks, subnets, hasHandover, isSettling: false };
  }

  async reportOwners(
    agent: AgentIdentity,
    owners: readonly SubnetOwner[],
  ): Promise<void> {
    await this.#host().takeOwners(agent, owners);
  }

  async heartbeat({ node, instanceId }: AgentIdentity): Promise<number> {
    await this.#host().membership.heartbeat(node, instanceId);
    return HEARTBEAT_INTERVAL_MS;
  }

  async *watch(signal: AbortSignal): AsyncGenerator<ClusterEvent> {
    yield* this.#host().membership.watch(signal);
  }

  async *handover(agent: AgentIdentity): AsyncGenerator<readonly Allocation[]> {
    const { pools } = this.#host();
    let page: Allocation[] = [];
    do {
      const behind = page.at(-1)?.addresses[0]?.address;
      page = await pools.handover(agent, { behind, limit: PAGE });
      yield page;
    } while (page.length === PAGE);
  }

  async finishHandover(agent: AgentIdentity): Promise<void> {
    await this.#host().pools.finishHandover(agent);
  }

  async leave(agent: AgentIdentity): Promise<void> {
    await this.#host().pools.remove({ ...agent, force: true });
  }
}
