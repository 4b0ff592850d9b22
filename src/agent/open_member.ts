import type { AgentOptions } from "./agent_options.ts";
import type { Member } from "../member/member.ts";
import { HostedMember } from "../member/hosted_member.ts";
import { JoinedMember } from "../member/joined_member.ts";
import { LocalRegistryPeer } from "../member/local_registry_peer.ts";
import { measurePeer } from "../member/measured_peer.ts";
import { RegistryHost } from "../registry/host.ts";
import { SharedRegistry } from "../registry/shared_registry.ts";
import { asRegistryStore } from "../store/shared_store.ts";

/** The registry that an agent hosts. */
export interface HostedRegistry {
  readonly host: RegistryHost | undefined;
  require(): RegistryHost;
  start?(): void;
  stop?(): Promise<void>;
}

/** What an agent has to do with the registry. */
export interface OpenedMember {
  readonly member: Member;
  /** The registry; undefined when this agent does not host it. */
  readonly registry: HostedRegistry | undefined;
}

/**
 * Opens an agent's membership: it joins the registry of others, hosts one together
 * with others, or hosts one alone.
 *
 * @param instanceId random id of the agent's state
 * @throws {NetError} `failed_precondition` when the cluster has other networks
 */
export async function openMember(
  options: AgentOptions,
  instanceId: string,
): Promise<OpenedMember> {
  const own = { ...options, instanceId };
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
