import type { Agent } from "../../src/agent/agent.ts";
import type { ClusterEvent } from "../../src/registry/feed.ts";
import type {
  AgentIdentity,
  JoinAnswer,
  RegistryPeer,
} from "../../src/registry/peer.ts";
import type { SubnetOwner } from "../../src/registry/plan/restore_grace.ts";
import type { JoinRequest } from "../../src/registry/plan/join_plan.ts";
import { NetError } from "../../src/base/error.ts";
import type { Allocation } from "../../src/addresses/plan/allocation.ts";

/** How many allocations a page of a handover has: few, so that there are several. */
const PAGE = 2;

/** A call of the registry. */
export type RegistryCall = Exclude<keyof RegistryPeer, "url">;

export interface FakeRegistryPeerOptions {
  readonly url?: string;
  /** When a node is to say again that it is alive, in ms. Default: in an hour. */
  readonly heartbeatMs?: number;
}

/**
 * The way to a registry: the registry is that of a real agent, which answers
 * as it does; the way can be cut. Nothing goes over a network.
 */
export class FakeRegistryPeer implements RegistryPeer {
  readonly url: string;
  heartbeatMs: number;
  /** The calls that were made, in their order. */
  readonly calls: RegistryCall[] = [];
  /** What nodes joined with, in their order. */
  readonly joins: JoinRequest[] = [];
  /** Called before a call is answered. What it throws is the answer. */
  onCall: (call: RegistryCall) => void | Promise<void> = () => {};
  #host: Agent;
  #isCut = false;
  /** Ends the watches that are open. */
  #watches = new AbortController();

  constructor(host: Agent, options: FakeRegistryPeerOptions = {}) {
    const { url = "http://registry:9000", heartbeatMs = 3_600_000 } = options;
    this.#host = host;
    this.url = url;
    this.heartbeatMs = heartbeatMs;
  }

  /** From now on nothing answers there. Watches end. */
  cut(): void {
    this.#isCut = true;
    this.endWatches();
  }

  /** Answers again. */
  mend(): void {
    this.#isCut = false;
  }

  /** Ends the watches that are open, as a restart of the registry does. */
  endWatches(): void {
    this.#watches.abort();
    this.#watches = new AbortController();
  }

  /** Another agent answers there from now on. */
  replace(host: Agent): void {
    this.#host = host;
    this.endWatches();
  }

  async join(request: JoinRequest, signal: AbortSignal): Promise<JoinAnswer> {
    await this.#begin("join", signal);
    this.joins.push(request);
    const { pools, cluster, restoreGrace } = this.#host.host!;
    const { subnets, hasHandover } = await pools.join(request);
    const { clusterId, networks } = cluster;
    const isInRestoreGrace = restoreGrace.wantsReports;
    return { clusterId, networks, subnets, hasHandover, isInRestoreGrace };
  }

  async reportOwners(
    agent: AgentIdentity,
    owners: readonly SubnetOwner[],
    signal: AbortSignal,
  ): Promise<void> {
    await this.#begin("reportOwners", signal);
    await this.#host.host!.acceptOwnerReport(agent, owners);
  }

  async heartbeat(agent: AgentIdentity, signal: AbortSignal): Promise<number> {
    await this.#begin("heartbeat", signal);
    const { nodes: members } = this.#host.host!;
    await members.heartbeat(agent.node, agent.instanceId);
    return this.heartbeatMs;
  }

  async *watch(signal: AbortSignal): AsyncGenerator<ClusterEvent> {
    await this.#begin("watch", signal);
    const { nodes: members } = this.#host.host!;
    const ends = this.#watches.signal;
    yield* members.watch(AbortSignal.any([signal, ends]));
    if (ends.aborted) throw unreachable(this.url);
  }

  async *handover(
    agent: AgentIdentity,
    signal: AbortSignal,
  ): AsyncGenerator<readonly Allocation[]> {
    const { pools } = this.#host.host!;
    let behind: Allocation["addresses"][number]["address"] | undefined;
    for (;;) {
      await this.#begin("handover", signal);
      const page = await pools.handover(agent, { behind, limit: PAGE });
      yield page;
      if (page.length < PAGE) return;
      behind = page.at(-1)!.addresses[0]!.address;
    }
  }

  async finishHandover(
    agent: AgentIdentity,
    signal: AbortSignal,
  ): Promise<void> {
    await this.#begin("finishHandover", signal);
    await this.#host.host!.pools.finishHandover(agent);
  }

  async leave(agent: AgentIdentity, signal: AbortSignal): Promise<void> {
    await this.#begin("leave", signal);
    await this.#host.host!.pools.remove({ ...agent, force: true });
  }

  async #begin(call: RegistryCall, signal: AbortSignal): Promise<void> {
    this.calls.push(call);
    if (this.#isCut) throw unreachable(this.url);
    await this.onCall(call);
    if (signal.aborted) throw new NetError("cancelled", "given up");
  }
}

function unreachable(url: string): NetError {
  return new NetError("unavailable", `Cannot reach the agent at "${url}"`);
}
