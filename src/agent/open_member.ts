import type { NeighbourLookup } from "../addresses/neighbours.ts";
import type { ContainersOptions } from "../addresses/containers.ts";
import { HostedMember } from "../member/hosted_member.ts";
import { JoinedMember } from "../member/joined_member.ts";
import type { Member, MemberOptions } from "../member/member.ts";
import { LocalRegistryPeer, measurePeer } from "../member/peers.ts";
import {
  RegistryHost,
  type RegistryOptions,
  SharedRegistry,
} from "../registry/host.ts";
import type { RegistryPeer } from "../registry/peer.ts";
import type { Machine, StateIdentity } from "../state/machine.ts";
import { asRegistryStore, type Store } from "../store/store.ts";

/** The registry that an agent hosts. */
export interface HostedRegistry {
  readonly host: RegistryHost | undefined;
  require(): RegistryHost;
  start?(): void;
  stop?(): Promise<void>;
}

/** An agent's membership. */
export interface OpenedMember {
  readonly member: Member;
  /** The registry; undefined when this agent does not host it. */
  readonly registry: HostedRegistry | undefined;
}

/**
 * Opens an agent's membership: it joins a registry, hosts one together with
 * others, or hosts one alone.
 *
 * @throws {NetError} `failed_precondition` when the cluster has other networks
 */
export async function openMember(
  options: AgentOptions,
  state: StateIdentity,
): Promise<OpenedMember> {
  const processId = options.randomId();
  const own = { ...options, ...state, processId };
  if (options.peers.length > 0) {
    return { member: await JoinedMember.open(own), registry: undefined };
  }
  const { registryStore: store } = options;
  if (store) {
    const registry = new SharedRegistry({
      ...own,
      store: asRegistryStore(store),
      isShared: true,
    });
    const peer = new LocalRegistryPeer(registry);
    const { metrics } = options;
    const peers = [metrics ? measurePeer(peer, metrics) : peer];
    return { member: await JoinedMember.open({ ...own, peers }), registry };
  }
  const host = await RegistryHost.open({ ...own, isShared: false });
  const member = new HostedMember({ ...own, host });
  return { member, registry: { host, require: () => host } };
}

export interface AgentOptions
  extends
    ContainersOptions,
    RegistryOptions,
    Pick<MemberOptions, "onTrust" | "onLeft"> {
  /** Undefined: the agent does not look for addresses in use on this host. */
  readonly neighbours?: NeighbourLookup;
  /** The store of a registry that several agents host; undefined: this agent hosts none, or in its own store. */
  readonly registryStore?: Store;
  /** Agents that host the registry to join, tried in turn. Empty: this agent hosts it. */
  readonly peers: readonly RegistryPeer[];
  /** Age at which records of the history are removed, in ms. */
  readonly keepHistoryMs: number;
  readonly random: () => number;
  /** This machine. Default: the state is not checked for another one. */
  readonly machine?: Machine;
}
