import type { Agent } from "../agent/agent.ts";
import { encodeReport } from "../api/messages/cluster.ts";
import type { Peers } from "../api/client/peers.ts";
import type { HeartbeatJournal } from "../api/client/registry_peer.ts";
import type { ClusterServiceParts } from "../api/services/cluster.ts";
import { refreshReports } from "../api/services/cluster_overview.ts";
import { ClusterWatches } from "../api/services/cluster_watch.ts";
import { NetError } from "../base/error.ts";
import { type PeriodicTask, startPeriodicTask } from "../base/periodic_task.ts";
import { ClusterCounter } from "../cluster/cluster_counter.ts";
import { EventLog } from "../cluster/event_log.ts";
import { HostEvents, type HostObservation } from "../cluster/host_events.ts";
import { Journal } from "../cluster/journal.ts";
import { OwnReport } from "../cluster/own_report.ts";
import type {
  HostHappening,
  ObservedConflict,
} from "../cluster/plan/events.ts";
import type { ClusterCounts } from "../cluster/plan/cluster_counts.ts";
import { summarize } from "../cluster/plan/overview.ts";
import { Recorder } from "../cluster/recorder.ts";
import { Reports } from "../cluster/reports.ts";
import { Requesters } from "../cluster/requesters.ts";
import { HOUR_MS } from "../cluster/plan/forecast.ts";
import { ReportSource } from "../cluster/report_source.ts";
import { type Counted, Samples } from "../cluster/samples.ts";
import type { HostController } from "../host/controller.ts";
import { formatPrefix } from "../net/prefix.ts";
import { countPaths, pathProblems } from "../probe/plan/verdict.ts";
import type { Prober } from "../probe/prober.ts";
import type { ProbeKey } from "../probe/seal.ts";
import type { RegistryHost } from "../registry/host.ts";
import type { SubnetListing } from "../registry/plan/subnet_listing.ts";
import type { Repairs } from "../routes/report.ts";
import type { AgentState } from "./agent_state.ts";

/** Interval of the samples: each hour has one also after a restart in between. */
const SAMPLE_INTERVAL_MS = HOUR_MS / 6;
/** Interval at which a host looks at itself for events, in ms. */
const LOOK_INTERVAL_MS = 5_000;

/** Options of {@linkcode createAgentCluster}. */
export interface AgentClusterOptions {
  readonly agent: Agent;
  readonly controller: HostController;
  readonly peers: Peers;
  readonly state: AgentState;
  readonly warnings: () => readonly string[];
  readonly version: string;
  readonly bootId: string;
  /** Undefined if it does not probe. */
  readonly prober: Prober | undefined;
  /** The keys of probes that the registry hands out; undefined where this agent hosts none. */
  readonly ringKeys: (() => readonly ProbeKey[]) | undefined;
  /** The validity of this host's certificate; undefined without one. */
  readonly certificate: () => HostObservation["certificate"];
}

/** The parts of an agent that see the cluster as one. */
export interface AgentCluster extends ClusterServiceParts {
  readonly node: string;
  /** The events of this host that wait for the registry; undefined where it is hosted here. */
  readonly journal: Journal | undefined;
  /** The registry's counts of all hosts, from memory; undefined where it is not hosted here. */
  counts(): ClusterCounts | undefined;
  /** Records what has happened on this host, at the present time. */
  record(events: readonly HostHappening[]): void;
  /** Begins to sample, and to record events. */
  start(): void;
  /** Sends this host's report at once: it has changed. */
  reportSoon(): void;
  stop(): Promise<void>;
}

/** Makes the parts of an agent that see the cluster as one. */
export async function createAgentCluster(
  options: AgentClusterOptions,
): Promise<AgentCluster> {
  const { agent, controller, peers, state, warnings, version, bootId } =
    options;
  const { prober, ringKeys } = options;
  const now = Date.now;
  const uptimeMs = performance.now.bind(performance);
  const samples = await Samples.open({ store: state.store, now });
  const source = new ReportSource({
    ...{ agent, samples, version, bootId },
    routes: () => controller.routes,
    ...prober && {
      probes: () => ({
        problems: pathProblems(prober.paths),
        summary: countPaths(prober.paths),
      }),
    },
    warnings: () => [
      ...warnings(),
      ...prober?.warnings ?? [],
      ...controller.warnings,
      ...agent.host?.warnings ?? [],
      ...agent.addresses.warnings,
    ],
    faults: () => controller.faults,
  });
  const reports = new Reports({ now });
  const store = state.registryStore ?? state.store;
  const events = new EventLog({
    ...{ store, now },
    sequence: crypto.getRandomValues(new Uint32Array(1))[0]! * 2 ** 20,
    isWriter: agent.isHost,
  });
  const forecast = (counted: Counted) => samples.forecast(counted);
  const clusterOptions = {
    ...{ agent, peers, source, reports, events, forecast, now },
    host: () => agent.requireHost(),
  };
  const watches = new ClusterWatches(clusterOptions);
  const counter = new ClusterCounter({
    ...{ reports, forecast },
    nodes: () => agent.member.view.nodes.values(),
    networks: () => agent.member.cluster?.networks ?? [],
  });
  const isShared = state.registryStore !== undefined;
  const requesters = new Requesters({ store, isShared, now });
  const journal = agent.isHost
    ? undefined
    : await Journal.open({ store: state.store, now });
  const record = (happened: readonly HostHappening[]) =>
    journal ? journal.add(happened) : events.add(happened);
  const hostEvents = await HostEvents.open({
    ...{ node: agent.node, store: state.store, now, uptimeMs },
    record(happened, seen) {
      if (journal) return journal.add(happened, seen);
      events.add(happened);
      return state.store.commit({ puts: [seen] });
    },
    observe: async () => ({
      report: await source.read(),
      repairs: countRepairs(controller.routes.repaired),
      certificate: options.certificate(),
    }),
  });
  const tasks: PeriodicTask[] = [];
  let recorder: Recorder | undefined;
  const own = new OwnReport({
    ...{ node: agent.node, reports },
    source: { read: () => hostEvents.look() },
  });
  return {
    node: agent.node,
    ...{ source, reports, events, forecast },
    ...{ watches, requesters, journal, record },
    ...ringKeys && { probeKeys: ringKeys },
    ...prober && { paths: () => prober.paths },
    counts: () => agent.isHost ? counter.count() : undefined,
    start() {
      tasks.push(startPeriodicTask("sample the use of the subnets", {
        intervalMs: SAMPLE_INTERVAL_MS,
        run: async () => {
          const { host } = agent;
          await source.sample(host ? await countNetworks(host) : []);
        },
      }));
      tasks.push(startPeriodicTask("look at this host for events", {
        intervalMs: LOOK_INTERVAL_MS,
        run: () => agent.isHost ? own.send() : hostEvents.look(),
      }));
      if (!agent.isHost) return;
      if (isShared) {
        tasks.push(startPeriodicTask("ask hosts for their reports", {
          intervalMs: LOOK_INTERVAL_MS,
          run: () =>
            refreshReports(clusterOptions, agent.member.view.nodes.values()),
        }));
      }
      recorder = new Recorder({
        ...{ store, events, reports, requesters, isShared, now, uptimeMs },
        id: agent.instanceId,
        watch: (signal) => agent.requireHost().nodes.watch(signal),
        conflicts: async () => {
          const subnets = await agent.host?.registry.subnets() ?? [];
          counter.listed(subnets);
          return findConflicts(subnets);
        },
      });
    },
    reportSoon() {
      if (agent.isHost) return own.sendSoon();
      // The heartbeat carries the events, too.
      hostEvents.look().catch((error) => {
        if (!(error instanceof NetError)) throw error;
      }).finally(() => agent.member.beatSoon?.());
    },
    async stop() {
      watches.stop();
      own.stop();
      await Promise.all(tasks.map((task) => task.stop()));
      await recorder?.stop();
      await events.stop();
      await journal?.stop();
    },
  };
}

/** The subnets of each network that are not free. */
async function countNetworks(host: RegistryHost): Promise<Counted[]> {
  const { networks } = summarize([], {
    networks: host.cluster.networks,
    subnets: await host.registry.subnets(),
  });
  return networks.map(({ carve, owned, blocked, subnets }) => ({
    subject: formatPrefix(carve.network),
    count: owned + blocked,
    capacity: subnets,
  }));
}

/** Corrections of what somebody else has done. */
function countRepairs({ byCause }: Repairs): number {
  const { missing = 0, changed = 0, surplus = 0 } = byCause;
  return missing + changed + surplus;
}

/** The owned subnets that a host uses a part of itself. */
function findConflicts(
  listings: readonly SubnetListing[],
): Map<string, ObservedConflict> {
  return new Map(
    listings.filter(({ state, reason }) => state === "owned" && reason !== "")
      .map(({ subnet, node, reason }) => [
        formatPrefix(subnet),
        { node, reason },
      ]),
  );
}

/** The parts that an agent starts without, because they need the agent. */
export class LateCluster {
  parts: AgentCluster | undefined;

  /** The encoded report; empty without a source. */
  readonly report = async (): Promise<Uint8Array<ArrayBuffer>> =>
    this.parts
      ? encodeReport(await this.parts.source.read())
      : new Uint8Array(0);

  /** The events that heartbeats carry; none without a journal. */
  readonly journal: HeartbeatJournal;

  constructor() {
    const journalOf = () => this.parts?.journal;
    this.journal = {
      get oldest() {
        return journalOf()?.oldest ?? [];
      },
      acknowledge: (number) => journalOf()?.acknowledge(number),
    };
  }

  /** Records that the addresses of a container that is gone were released. */
  readonly onLeak = (text: string, subject: string): void => {
    const { parts } = this;
    if (!parts) return;
    const { node } = parts;
    parts.record([{ kind: "leaks released", node, subject, text }]);
  };

  /** Forgets the events of this host: they are none of the next registry's. */
  readonly onLeft = (): void => this.parts?.journal?.forget();

  /** Records that a silent node is removed, or is about to be. */
  readonly onRemoval = (node: string, text: string): void =>
    this.parts?.events.add([{ kind: "removal", node, subject: node, text }]);
}
