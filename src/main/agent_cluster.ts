import type { Agent } from "../agent/agent.ts";
import { encodeReport } from "../api/messages/cluster.ts";
import type { Peers } from "../api/client/peers.ts";
import type { ClusterServiceParts } from "../api/services/cluster.ts";
import { ClusterWatches } from "../api/services/cluster_watch.ts";
import { type PeriodicTask, startPeriodicTask } from "../base/periodic_task.ts";
import { EventLog } from "../cluster/event_log.ts";
import { OwnReport } from "../cluster/own_report.ts";
import { Recorder } from "../cluster/recorder.ts";
import { Reports } from "../cluster/reports.ts";
import { HOUR_MS } from "../cluster/plan/forecast.ts";
import { ReportSource } from "../cluster/report_source.ts";
import { Samples } from "../cluster/samples.ts";
import type { HostController } from "../host/controller.ts";
import { countPaths, pathProblems } from "../probe/plan/verdict.ts";
import type { Prober } from "../probe/prober.ts";
import type { ProbeKey } from "../probe/seal.ts";
import type { AgentState } from "./agent_state.ts";

/** Interval of the samples: each hour has one also after a restart in between. */
const SAMPLE_INTERVAL_MS = HOUR_MS / 6;
/** Interval at which a registry's host reads its own report, in ms. */
const OWN_REPORT_INTERVAL_MS = 10_000;

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
}

/** The parts of an agent that see the cluster as one. */
export interface AgentCluster extends ClusterServiceParts {
  /** Begins to sample, and to record events if this agent hosts the registry. */
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
    ],
  });
  const reports = new Reports({ now });
  const store = state.registryStore ?? state.store;
  const events = new EventLog({
    ...{ store, now },
    sequence: crypto.getRandomValues(new Uint32Array(1))[0]! * 2 ** 20,
    isWriter: agent.isHost,
  });
  const watches = new ClusterWatches({
    ...{ agent, peers, source, reports, events, now },
    host: () => agent.requireHost(),
  });
  const tasks: PeriodicTask[] = [];
  let recorder: Recorder | undefined;
  const own = new OwnReport({ node: agent.node, source, reports });
  return {
    ...{ source, reports, events, watches },
    ...ringKeys && { probeKeys: ringKeys },
    ...prober && { paths: () => prober.paths },
    start() {
      tasks.push(startPeriodicTask("sample the use of the subnets", {
        intervalMs: SAMPLE_INTERVAL_MS,
        run: () => source.sample(),
      }));
      if (!agent.isHost) return;
      recorder = new Recorder({
        ...{ store, events, reports, now },
        isShared: state.registryStore !== undefined,
        id: agent.instanceId,
        watch: (signal) => agent.requireHost().nodes.watch(signal),
        uptimeMs: performance.now.bind(performance),
      });
      tasks.push(startPeriodicTask("read this host's report", {
        intervalMs: OWN_REPORT_INTERVAL_MS,
        run: () => own.send(),
      }));
    },
    reportSoon() {
      if (agent.isHost) own.sendSoon();
      else agent.member.beatSoon?.();
    },
    async stop() {
      watches.stop();
      own.stop();
      await Promise.all(tasks.map((task) => task.stop()));
      await recorder?.stop();
      await events.stop();
    },
  };
}

/** The parts that an agent starts without, because they need the agent. */
export class LateCluster {
  parts: Pick<AgentCluster, "source" | "events" | "reportSoon"> | undefined;

  /** The encoded report; empty without a source. */
  readonly report = async (): Promise<Uint8Array<ArrayBuffer>> =>
    this.parts
      ? encodeReport(await this.parts.source.read())
      : new Uint8Array(0);

  /** Records that a silent node is removed, or is about to be. */
  readonly onRemoval = (node: string, text: string): void =>
    this.parts?.events.add([{ kind: "removal", node, subject: node, text }]);
}
