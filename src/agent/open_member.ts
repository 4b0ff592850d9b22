import type { AgentOptions } from "./agent_options.ts";
import type { Home } from "../member/member.ts";
import { HostedHome } from "../member/hosted_member.ts";
import { JoinSession } from "../member/joined_member.ts";
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
export interface OpenedHome {
  readonly home: Home;
  /** The registry; undefined when this agent does not host it. */
  readonly registry: HostedRegistry | undefined;
}

/**
 * Opens an agent's home: it joins the registry of others, hosts one together
 * with others, or hosts one alone.
 *
 * @param instanceId random id of the agent's state
 * @throws {NetError} `failed_precondition` when the cluster has other networks
 */
export async function openHome(
  options: AgentOptions,
  instanceId: string,
): Promise<OpenedHome> {
  const own = { ...options, instanceId };
  if (options.peers.length > 0) {
    return { home: await JoinSession.open(own), registry: undefined };
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
    return { home: await JoinSession.open({ ...own, peers }), registry };
  }
  const host = await RegistryHost.open({ ...own, isShared: false });
  const home = new HostedHome({ ...own, host });
  return { home, registry: { host, require: () => host } };
}
