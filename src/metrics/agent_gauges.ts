import type { AgentStatus } from "../agent/status.ts";
import type { RegistryLink } from "../member/link.ts";
import type { RouteReport } from "../routes/report.ts";
import { formatPrefix, overlaps, type Prefix } from "../net/prefix.ts";
import type { ClusterCounts } from "../cluster/plan/cluster_counts.ts";
import type { Forecast } from "../cluster/plan/forecast.ts";
import { countPaths, type PathView } from "../probe/plan/verdict.ts";
import { labelValue } from "./counters.ts";
import type { ReadMetric, Sample } from "./read_metric.ts";

/** An agent's state, as the metrics show it. */
export interface AgentReading {
  readonly status: AgentStatus;
  /** Revision of the registry that this agent follows. */
  readonly followedRevision: number;
  readonly routes: RouteReport;
  /** This host's clock, in ms since 1970. */
  readonly nowMs: number;
  /** When this agent last received a change of the cluster, in ms since 1970; undefined before the first. */
  readonly clusterChangedAtMs: number | undefined;
  /** The cluster's events; undefined where this agent hosts no registry. */
  readonly events:
    | {
      /** When the latest one happened, in ms since 1970; undefined: none is known. */
      readonly lastAtMs: number | undefined;
      /** Number of events that wait for the store. */
      readonly waiting: number;
    }
    | undefined;
  /** The registry's counts of all hosts; undefined where this agent hosts none. */
  readonly cluster: ClusterCounts | undefined;
  /** The trends of this host's subnets, by subnet. */
  readonly forecasts: ReadonlyMap<string, Forecast>;
  /** When the last backup of this agent's state was complete, in ms since 1970; 0 for none. */
  readonly lastBackupAtMs: number;
  /** The store of the registry that this agent hosts; undefined where it hosts none. */
  readonly registryStore: "kv" | "etcd" | undefined;
  readonly certificates: readonly CertificateReading[];
  /** The paths from this host, and the packets of its probes; undefined if it does not probe. */
  readonly probes:
    | {
      readonly paths: readonly PathView[];
      readonly counts: Readonly<
        Record<"requests" | "answers" | "refused", number>
      >;
    }
    | undefined;
  /** Whether the last attempt to get or renew a certificate failed; undefined where there is none to get. */
  readonly isRenewalFailing: boolean | undefined;
}

/** When a certificate that this agent depends on is valid, in ms since 1970. */
export interface CertificateReading {
  /**
   * `node`: shown to other hosts; `authority`: signed that; `store`: shown to
   * etcd; `store_authority`: signed etcd's certificate; `etcd`: shown by
   * etcd.
   */
  readonly name: "node" | "authority" | "store" | "store_authority" | "etcd";
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

const LINKS: readonly RegistryLink["state"][] = [
  "hosted",
  "joined",
  "unreachable",
  "fenced",
  "left",
];
const REPAIRS: readonly (keyof RouteReport["repaired"]["byCause"])[] = [
  "missing",
  "changed",
  "surplus",
  "next hop back",
  "conflict gone",
];

/** The metrics that are read from an agent; the names follow `stellar_net_`. */
export const AGENT_GAUGES: readonly ReadMetric<AgentReading>[] = [
  {
    name: "node_info",
    help: "Which node this is; always 1.",
    labels: ["node", "instance_id", "cluster_id"],
    read: ({ status: { node, instanceId, cluster } }) => [[1, {
      node,
      instance_id: instanceId,
      cluster_id: cluster?.clusterId ?? "",
    }]],
  },
  {
    name: "addresses",
    help: "Addresses of this node's subnets by state.",
    labels: ["network", "subnet", "state"],
    read: ({ status }) =>
      status.usage.flatMap(({ subnet, capacity, held, cooling }) => {
        const place = placeOf(status, subnet);
        const free = Math.max(0, Number(capacity) - held - cooling);
        return Object.entries({ held, cooling, free }).map((
          [state, count],
        ): Sample => [count, { ...place, state }]);
      }),
  },
  {
    name: "addresses_capacity",
    help: "Addresses of this node's subnets that can be given out.",
    labels: ["network", "subnet"],
    read: ({ status }) =>
      status.usage.map((
        { subnet, capacity },
      ) => [Number(capacity), placeOf(status, subnet)]),
  },
  {
    name: "routes_wanted",
    help: "Routes that this host should have.",
    read: ({ routes }) => [[routes.counts.wanted]],
  },
  {
    name: "routes",
    help: "Wanted routes by state.",
    labels: ["state"],
    read: ({ routes: { counts } }) => [
      [counts.installed, { state: "installed" }],
      [counts.conflicts, { state: "conflict" }],
      [counts.unresolved, { state: "unresolved" }],
    ],
  },
  {
    name: "routes_mode_info",
    help: "What is done about routes: apply, plan or off; always 1.",
    labels: ["mode"],
    read: ({ routes: { mode } }) => [[1, { mode }]],
  },
  {
    name: "routes_failing",
    help: "1 while routes cannot be read or put right.",
    read: ({ routes }) => [[Number(routes.error !== undefined)]],
  },
  {
    name: "routes_last_look_timestamp_seconds",
    help: "When the kernel's routes were last read, since 1970.",
    read: ({ routes: { readAtMs } }) =>
      readAtMs === undefined ? [] : [[readAtMs / 1000]],
  },
  {
    name: "route_repairs_total",
    help: "Routes put right that had been right before, by cause.",
    type: "counter",
    labels: ["cause"],
    read: ({ routes }) =>
      REPAIRS.map((cause) => [
        routes.repaired.byCause[cause] ?? 0,
        { cause: labelValue(cause) },
      ]),
  },
  {
    name: "registry_link",
    help: "How it stands with the registry: 1 for that state, else 0.",
    labels: ["state"],
    read: ({ status: { link } }) =>
      LINKS.map((state) => [Number(link.state === state), { state }]),
  },
  {
    name: "registry_reachable",
    help: "1 while the registry is hosted here, or answers.",
    read: ({ status: { link } }) => [[
      Number(link.state !== "unreachable"),
    ]],
  },
  {
    name: "fenced",
    help: "1 while the registry refuses this node.",
    read: ({ status: { link } }) => [[Number(link.state === "fenced")]],
  },
  {
    name: "registry_revision",
    help: "Revision of the registry by which this agent goes.",
    read: ({ followedRevision }) => [[followedRevision]],
  },
  {
    name: "registry_head_revision",
    help: "Latest revision of the registry, where it is hosted.",
    read: ({ status: { link, revision } }) =>
      link.state === "hosted" ? [[revision]] : [],
  },
  {
    name: "registry_store_info",
    help: "Where the registry is stored that this agent hosts; always 1.",
    labels: ["store"],
    read: ({ registryStore: store }) => store ? [[1, { store }]] : [],
  },
  {
    name: "cluster_nodes",
    help: "Nodes of the cluster that have a subnet.",
    read: ({ status }) => [[status.nodes]],
  },
  {
    name: "peers",
    help: "The other nodes by state.",
    labels: ["state"],
    read: ({ status }) =>
      Object.entries(status.peers).map((
        [state, count],
      ) => [count, { state: labelValue(state) }]),
  },
  {
    name: "cluster_last_change_timestamp_seconds",
    help: "When this agent last received a change of the cluster, since 1970.",
    read: ({ clusterChangedAtMs: at }) => at === undefined ? [] : [[at / 1000]],
  },
  {
    name: "addresses_growth_per_day",
    help:
      "Growth of the held addresses of a subnet in a day, from a day of samples on.",
    labels: ["network", "subnet"],
    read: ({ status, forecasts }) =>
      status.usage.flatMap(({ subnet }) => {
        const found = forecasts.get(formatPrefix(subnet));
        return found ? [[found.perDay, placeOf(status, subnet)]] : [];
      }),
  },
  {
    name: "addresses_full_timestamp_seconds",
    help: "When a subnet will be full at that growth, since 1970.",
    labels: ["network", "subnet"],
    read: ({ status, forecasts }) =>
      status.usage.flatMap(({ subnet }) => {
        const fullAtMs = forecasts.get(formatPrefix(subnet))?.fullAtMs;
        return fullAtMs === undefined
          ? []
          : [[fullAtMs / 1000, placeOf(status, subnet)]];
      }),
  },
  {
    name: "cluster_hosts",
    help: "Hosts by state, as the registry that is hosted here knows them.",
    labels: ["state"],
    read: ({ cluster }) =>
      Object.entries(cluster?.hosts ?? {}).map(([state, count]) => [count, {
        state: labelValue(state),
      }]),
  },
  {
    name: "cluster_hosts_without_report",
    help: "Hosts that are ready and whose report the registry does not have.",
    read: ({ cluster }) => cluster ? [[cluster.withoutReport]] : [],
  },
  {
    name: "cluster_hosts_with_problems",
    help: "Hosts with a problem, by the worst severity of each.",
    labels: ["severity"],
    read: ({ cluster }) =>
      Object.entries(cluster?.troubled ?? {}).map((
        [severity, count],
      ) => [count, { severity }]),
  },
  {
    name: "cluster_problems",
    help: "Problems of all hosts by severity.",
    labels: ["severity"],
    read: ({ cluster }) =>
      Object.entries(cluster?.problems ?? {}).map((
        [severity, count],
      ) => [count, { severity }]),
  },
  {
    name: "cluster_worst_use_ratio",
    help: "Largest part of a host's subnet that is held, 0 to 1.",
    read: ({ cluster }) => cluster ? [[cluster.worstUse]] : [],
  },
  {
    name: "cluster_first_full_timestamp_seconds",
    help: "When the first subnet of a host will be full, since 1970.",
    read: ({ cluster }) =>
      cluster?.firstFullAtMs === undefined
        ? []
        : [[cluster.firstFullAtMs / 1000]],
  },
  {
    name: "cluster_routes",
    help: "Wanted routes of all hosts by state.",
    labels: ["state"],
    read: ({ cluster }) =>
      Object.entries(cluster?.routes ?? {}).map((
        [state, count],
      ) => [count, { state }]),
  },
  {
    name: "network_subnets",
    help: "Subnets of a network by state.",
    labels: ["network", "state"],
    read: ({ cluster }) =>
      (cluster?.networks ?? []).flatMap((
        { cidr: network, subnets, owned, blocked },
      ) =>
        Object.entries({ owned, blocked, free: subnets - owned - blocked })
          .map(([state, count]): Sample => [count, { network, state }])
      ),
  },
  {
    name: "network_addresses",
    help: "Addresses of a network's owned subnets by state, as hosts report.",
    labels: ["network", "state"],
    read: ({ cluster }) =>
      (cluster?.networks ?? []).flatMap((
        { cidr: network, held, capacity },
      ) =>
        Object.entries({ held, free: Math.max(0, capacity - held) })
          .map(([state, count]): Sample => [count, { network, state }])
      ),
  },
  {
    name: "network_full_timestamp_seconds",
    help: "When a network will have no free subnet left, since 1970.",
    labels: ["network"],
    read: ({ cluster }) =>
      (cluster?.networks ?? []).flatMap(({ cidr, fullAtMs }) =>
        fullAtMs === undefined ? [] : [[fullAtMs / 1000, { network: cidr }]]
      ),
  },
  {
    name: "last_event_timestamp_seconds",
    help: "When the latest event of the cluster happened, since 1970.",
    read: ({ events }) =>
      events?.lastAtMs === undefined ? [] : [[events.lastAtMs / 1000]],
  },
  {
    name: "events_waiting",
    help: "Events of the cluster that wait for the store.",
    read: ({ events }) => events ? [[events.waiting]] : [],
  },
  {
    name: "last_backup_timestamp_seconds",
    help:
      "When the last backup of this agent was complete, since 1970; 0: none.",
    read: ({ lastBackupAtMs }) => [[lastBackupAtMs / 1000]],
  },
  {
    name: "clock_timestamp_seconds",
    help: "This host's clock, since 1970.",
    read: ({ nowMs }) => [[nowMs / 1000]],
  },
  {
    name: "certificate_not_before_timestamp_seconds",
    help: "From when a certificate is valid, since 1970.",
    labels: ["certificate"],
    read: ({ certificates }) =>
      certificates.map(({ name, notBeforeMs }) => [notBeforeMs / 1000, {
        certificate: name,
      }]),
  },
  {
    name: "certificate_not_after_timestamp_seconds",
    help: "Until when a certificate is valid, since 1970.",
    labels: ["certificate"],
    read: ({ certificates }) =>
      certificates.map(({ name, notAfterMs }) => [notAfterMs / 1000, {
        certificate: name,
      }]),
  },
  {
    name: "certificate_renewal_failing",
    help: "1 while the last attempt to get or renew a certificate has failed.",
    read: ({ isRenewalFailing: failing }) =>
      failing === undefined ? [] : [[Number(failing)]],
  },
  {
    name: "probe_paths",
    help: "Paths from this host to its peers by what probes found.",
    labels: ["state"],
    read: ({ probes }) =>
      probes
        ? Object.entries(countPaths(probes.paths))
          .map(([state, count]) => [count, { state }])
        : [],
  },
  {
    name: "probe_round_trip_seconds",
    help: "Smoothed round-trip time to a neighbour on the ring of probes.",
    labels: ["peer"],
    read: (reading) =>
      neighbours(reading).flatMap(({ peer, rttMs }) =>
        rttMs === undefined ? [] : [[rttMs / 1000, { peer }]]
      ),
  },
  {
    name: "probe_loss_ratio",
    help: "Share of the last packets that were lost on the way out or in.",
    labels: ["peer", "direction"],
    read: (reading) =>
      neighbours(reading).flatMap(({ peer, loss }): Sample[] => [
        [loss.out, { peer, direction: "out" }],
        [loss.in, { peer, direction: "in" }],
      ]),
  },
  {
    name: "probe_mtu_bytes",
    help: "Size of the largest packets that get to a neighbour; 0: not known.",
    labels: ["peer"],
    read: (reading) =>
      neighbours(reading).map(({ peer, narrowBytes, fullBytes }) => [
        narrowBytes ?? fullBytes,
        { peer },
      ]),
  },
  {
    name: "probe_packets_total",
    help: "Packets of probes: sent, or received and refused.",
    type: "counter",
    labels: ["kind"],
    read: ({ probes }) =>
      probes
        ? Object.entries(probes.counts)
          .map(([kind, count]) => [count, { kind }])
        : [],
  },
  {
    name: "release_queue_length",
    help: "Releases that wait on disk to be applied.",
    read: ({ status }) => [[status.queued]],
  },
  {
    name: "leak_candidates",
    help: "Allocations whose container seems to be gone, not released yet.",
    read: ({ status }) => [[status.leaked]],
  },
];

/** The paths that have series of their own: a few, whatever the size of the cluster. */
function neighbours({ probes }: AgentReading): readonly PathView[] {
  return probes?.paths.filter(({ isNeighbour }) => isNeighbour) ?? [];
}

/** The labels of a subnet. */
function placeOf(
  { cluster }: AgentStatus,
  subnet: Prefix,
): { readonly network: string; readonly subnet: string } {
  const carve = cluster?.networks.find(({ network }) =>
    overlaps(network, subnet)
  );
  return {
    network: carve ? formatPrefix(carve.network) : "",
    subnet: formatPrefix(subnet),
  };
}
