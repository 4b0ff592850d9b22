import {
  type GetStatusResponse,
  type HostRouteCounts,
  type PeerCounts,
  type RegistryLink,
  RegistryLinkState,
  RouteMode,
  Security,
  type SubnetUsage,
} from "../framework/client.ts";
import { orNull, viewName, viewTime } from "../framework/views.ts";

// What `status --json` prints. Fields are only ever added. Null means: there is
// none, or the agent does not tell.

/** How full a subnet is. Counts that may not fit a double are decimal texts. */
export interface UsageView {
  readonly cidr: string;
  readonly gateway: string;
  readonly capacity: string;
  readonly held: number;
  readonly cooling: number;
  readonly free: string;
}

/** How it stands with the registry. */
export interface RegistryLinkView {
  /** `hosted`, `joined`, `unreachable`, `fenced` or `left`. */
  readonly state: string;
  readonly since: string | null;
  readonly problem: string | null;
  /** The one that was reached last. */
  readonly url: string | null;
  readonly urls: readonly string[];
  readonly revision: number;
}

/** The other nodes, by state. */
export interface PeerCountsView {
  readonly ready: number;
  readonly unreachable: number;
  readonly noAgent: number;
}

/** The routes that the host should have, by state. */
export interface HostRouteCountsView {
  /** `apply`, `plan` or `off`. */
  readonly mode: string;
  readonly wanted: number;
  readonly installed: number;
  readonly conflicts: number;
  readonly unresolved: number;
  readonly repaired: number;
  readonly error: string | null;
}

/** How an agent is doing. */
export interface StatusView {
  readonly node: string;
  readonly instanceId: string;
  readonly version: string;
  readonly startedAt: string | null;
  readonly clusterId: string;
  readonly store: string;
  readonly listeners: readonly string[];
  readonly networks: readonly {
    readonly cidr: string;
    readonly subnetPrefixLength: number;
  }[];
  readonly subnets: readonly UsageView[];
  readonly nodes: number;
  /** How many extra routes there are. */
  readonly routes: number;
  readonly queued: number;
  readonly leaked: number;
  readonly warnings: readonly string[];
  /** What agents know each other by: `cluster`, `given` or `none`; `unspecified`: it is older than that. */
  readonly security: string;
  /** When the certificate ends that is shown to others. */
  readonly certificateUntil: string | null;
  /** What is worth knowing although all is well. */
  readonly notes: readonly string[];
  readonly registry: RegistryLinkView | null;
  readonly peers: PeerCountsView | null;
  readonly hostRoutes: HostRouteCountsView | null;
  readonly advertised: readonly string[];
  /** The agent's time. */
  readonly now: string | null;
}

export function viewStatus(message: GetStatusResponse): StatusView {
  const { networks, subnets } = message;
  return {
    node: message.node,
    instanceId: message.instanceId,
    version: message.version,
    startedAt: viewTime(message.startedAt),
    clusterId: message.clusterId,
    store: message.store,
    listeners: message.listeners,
    networks: networks.map(({ cidr, subnetPrefixLength }) => ({
      cidr,
      subnetPrefixLength,
    })),
    subnets: subnets.map(viewUsage),
    nodes: message.nodes,
    routes: message.routes,
    queued: message.queued,
    leaked: message.leaked,
    warnings: message.warnings,
    security: viewName(Security, message.security),
    certificateUntil: viewTime(message.certificateUntil),
    notes: message.notes,
    registry: viewRegistry(message.registry),
    peers: viewPeers(message.peers),
    hostRoutes: viewHostRouteCounts(message.hostRoutes),
    advertised: message.advertised,
    now: viewTime(message.now),
  };
}

function viewUsage(message: SubnetUsage): UsageView {
  const { cidr, gateway, capacity, held, cooling } = message;
  return {
    cidr,
    gateway,
    capacity,
    held: Number(held),
    cooling: Number(cooling),
    free: String(BigInt(capacity) - held - cooling),
  };
}

function viewRegistry(
  message: RegistryLink | undefined,
): RegistryLinkView | null {
  if (!message) return null;
  return {
    state: viewName(RegistryLinkState, message.state),
    since: viewTime(message.since),
    problem: orNull(message.problem),
    url: orNull(message.url),
    urls: message.urls,
    revision: Number(message.revision),
  };
}

function viewPeers(message: PeerCounts | undefined): PeerCountsView | null {
  if (!message) return null;
  const { ready, unreachable, noAgent } = message;
  return { ready, unreachable, noAgent };
}

function viewHostRouteCounts(
  message: HostRouteCounts | undefined,
): HostRouteCountsView | null {
  if (!message) return null;
  const { wanted, installed, conflicts, unresolved } = message;
  return {
    mode: viewName(RouteMode, message.mode),
    wanted,
    installed,
    conflicts,
    unresolved,
    repaired: Number(message.repaired),
    error: orNull(message.error),
  };
}
