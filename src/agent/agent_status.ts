import type { ClusterConfig } from "../registry/plan/state.ts";
import type { Store } from "../store/store.ts";
import type { SubnetUsage } from "../addresses/allocator.ts";
import type { ClusterNode, ClusterView } from "../registry/view.ts";
import type { RegistryLink } from "../member/member.ts";

/** What an agent tells about itself. */
export interface AgentStatus {
  readonly node: string;
  readonly instanceId: string;
  readonly startedAtMs: number;
  /** Undefined before it has joined for the first time. */
  readonly cluster: ClusterConfig | undefined;
  readonly link: RegistryLink;
  /** Empty: it claims its subnets with its first allocation. */
  readonly usage: readonly SubnetUsage[];
  /** Revision of the cluster's record that is known here. */
  readonly revision: number;
  /** How many nodes own a subnet. */
  readonly nodes: number;
  /** The other nodes by state. */
  readonly peers: Readonly<Record<ClusterNode["state"], number>>;
  /** How many extra routes there are. */
  readonly routes: number;
  /** How many releases are queued on disk, and how many allocations seem to be leaked. */
  readonly queued: number;
  readonly leaked: number;
  readonly store: string;
}

/** Counts what is known of the cluster, as one of its nodes sees it. */
export function countCluster(
  view: ClusterView,
  self: string,
): Pick<AgentStatus, "revision" | "nodes" | "peers" | "routes"> {
  const peers = { ready: 0, unreachable: 0, "no agent": 0 };
  let nodes = 0;
  for (const node of view.nodes.values()) {
    if (node.subnets.length > 0) nodes++;
    if (node.name !== self) peers[node.state]++;
  }
  const { revision, routes } = view;
  return { revision, nodes, peers, routes: routes.size };
}

/** Where an agent keeps its state, for people. */
export function describeStores(
  { store, registryStore }: {
    readonly store: Store;
    readonly registryStore?: Store;
  },
): string {
  return registryStore
    ? `${store.url}, the registry in ${registryStore.url}`
    : store.url;
}
