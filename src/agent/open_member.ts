import type { Member } from "../member/member.ts";
import { HostedMember } from "../member/hosted_member.ts";
import { JoinedMember } from "../member/joined_member.ts";
import { LocalRegistryPeer, measurePeer } from "../member/peers.ts";
import { RegistryHost, SharedRegistry } from "../registry/host.ts";
import { asRegistryStore } from "../store/wrapped_store.ts";
import type { ContainersOptions } from "../addresses/containers.ts";
import type { AgentMetrics } from "../base/agent_metrics.ts";
import type { Carve } from "../net/carve.ts";
import type { Clocks } from "../registry/liveness.ts";
import type { RegistryPeer } from "../registry/peer.ts";
import type { Lifetimes } from "../security/certificates.ts";
import type { Trust } from "../security/trust.ts";
import type { Store } from "../store/store.ts";

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

/** The random id of a state: made once, kept with it. */
export async function readInstanceId(
  store: Store,
  randomId: () => string,
): Promise<string> {
  const key = ["agent", "instance"];
  const entry = await store.get(key);
  if (typeof entry?.value === "string") return entry.value;
  const id = randomId();
  await store.commit({ puts: [{ key, value: id }] });
  return id;
}

/** Options of an agent. */
export interface AgentOptions extends ContainersOptions, Clocks {
  /** Name of this node. */
  readonly node: string;
  readonly store: Store;
  /** Where the registry is that this agent hosts with others; undefined: it hosts it alone, or not. */
  readonly registryStore?: Store;
  /** Agents that host the registry to join, tried in turn. Empty: this one hosts it. */
  readonly peers: readonly RegistryPeer[];
  /** Networks to create the cluster with. Empty: those that it has, or `DEFAULT_NETWORK`. */
  readonly networks: readonly Carve[];
  /** How long a released address is not given again while others are free, in ms. */
  readonly coolDownMs: number;
  /** How long the history is kept, in ms. */
  readonly keepHistoryMs: number;
  /** Makes a random id. */
  readonly randomId: () => string;
  /** A random number from 0 to 1. */
  readonly random: () => number;
  /** Default: nothing is counted. */
  readonly metrics?: AgentMetrics;
  /** Hears of what others are checked with, first and after each change. */
  readonly onTrust?: (trust: Trust) => void;
  /** Whether certificates are an operator's own: the cluster's authority signs none. Default: it does. */
  readonly hasGivenCertificates?: boolean;
  /** How long certificates last, where it is not as usual. */
  readonly certificateLifetimes?: Partial<Lifetimes>;
}
