import { BridgeNeighbours } from "../host/bridge_neighbours.ts";
import { LinuxPathProbe } from "../host/linux_path_probe.ts";
import type { EndpointLookup } from "../addresses/containers.ts";
import { DenoCommandRunner } from "../system/deno_command.ts";
import { Agent } from "../agent/agent.ts";
import { dirname } from "node:path";
import {
  type AgentConfig,
  type AgentSecurity,
  type EtcdChoice,
  speaksPlainText,
} from "../config/config.ts";
import { AGENT_READS, keepFolders } from "../build/permissions.ts";
import { runDaemon } from "../agent/daemon.ts";
import { KnownProbeKeys } from "../probe/keys.ts";
import { measurePeer } from "../member/peers.ts";
import { BUILD } from "../build/build_info.ts";
import { authorityWarnings, readValidity } from "../security/pki/validity.ts";
import { clockWarnings } from "../host/facts.ts";
import { isThisHost } from "../net/address.ts";
import {
  formatGreeting,
  formatProgram,
} from "../cli/commands/agent_greeting.ts";
import type { LogOptions } from "../cli/framework/io.ts";
import { DenoNetns, readKernelFile } from "../system/files.ts";
import { configureLogging, LogRing } from "../system/logging.ts";
import { SdNotify } from "../system/sd_notify.ts";
import { makeStateDir } from "../system/state_dir.ts";
import { Metrics } from "../metrics/metrics.ts";
import { RpcRegistryPeer } from "../api/client/registry_peer.ts";
import { createAgentCluster, LateCluster } from "./agent_cluster.ts";
import {
  type AgentDocker,
  createAgentDocker,
  makePluginFolder,
} from "./agent_docker.ts";
import { createAgentHost } from "./agent_host.ts";
import { createAgentProbes } from "./agent_prober.ts";
import { createAgentServer } from "./agent_server.ts";
import { type AgentState, openAgentState } from "./agent_state.ts";
import { ENVIRONMENT, type Program, writeError } from "./process.ts";
import { readThisMachine } from "./machine.ts";
import type { Machine } from "../state/machine.ts";
import { stationProgram } from "./station.ts";
import { openSecurity, type Security } from "./security.ts";

/** A new id with every boot of the host (random(4)). */
const BOOT_ID_PATH = "/proc/sys/kernel/random/boot_id";
/** Monotonic time, in ms. */
const uptimeMs = performance.now.bind(performance);

/** Runs the agent until SIGTERM or SIGINT. */
export async function runAgent(
  config: AgentConfig,
  options: { readonly log: LogOptions; readonly program: Program },
): Promise<void> {
  const { version, dir } = options.program;
  const logRing = await startLog(options.log);
  const stop = new AbortController();
  const onSignal = () => stop.abort();
  await using opened = new AsyncDisposableStack();
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    Deno.addSignalListener(signal, onSignal);
    opened.defer(() => Deno.removeSignalListener(signal, onSignal));
  }
  const machine = await readThisMachine();
  // It looks at the folders above, which the agent then may not read any more.
  makeStateDir(config.stateDir);
  if (config.docker) makePluginFolder(config.docker);
  if (BUILD.kind !== "sources") await keepAgentFolders(config, dir);
  const metrics = new Metrics({
    version,
    commit: BUILD.commit ?? "",
    deno: Deno.version.deno,
  });
  const state = await openAgentState(config, metrics);
  opened.defer(() => state.close());
  const probeKeys = await KnownProbeKeys.open(state.store);
  const security = await openSecurity(config);
  opened.defer(() => security.stop());
  const bootId = (await readKernelFile(BOOT_ID_PATH)).trim();
  const late = new LateCluster();
  const shared = { state, security, metrics, bootId, late, machine, probeKeys };
  const agent = await startAgent(config, {
    ...shared,
    presenceOf: async (allocation) =>
      await docker?.presenceOf(allocation) ?? "unknown",
  });
  const docker: AgentDocker | undefined = createAgentDocker(config, {
    ...{ agent, bootId },
  });
  opened.defer(() => docker?.stop());
  const parts = { agent, state, security, version };
  const host = await createAgentHost(config, {
    ...parts,
    stationProgram: stationProgram(options.program),
    paths: () => late.parts?.paths?.(),
    docker: docker?.facts,
  });
  const listeners: string[] = [];
  const warnings = [...host.warnings];
  const { credentials } = security;
  const allWarnings = () => [
    ...warnings,
    ...docker?.warnings ?? [],
    ...credentials?.warnings(Date.now()) ?? [],
    ...authorityWarnings(credentials?.material, {
      nowMs: Date.now(),
      wayOut: config.security.kind === "given"
        ? "add its successor to --tls-ca on every host"
        : 'run "stellar-net identity rotate" on a host of the registry',
    }),
    ...clockWarnings(metrics.agent.clockOffsetMs),
  ];
  const { controller } = host;
  const { prober, ringKeys } = createAgentProbes(config, {
    ...{ agent, controller, state, keys: probeKeys },
    onChange: () => late.parts?.reportSoon(),
  });
  opened.defer(() => prober?.stop());
  const cluster = await createAgentCluster({
    ...parts,
    ...{ controller, peers: host.peers },
    ...{ warnings: allWarnings, bootId, prober, ringKeys },
    certificate: () => {
      const { material } = credentials ?? {};
      return material && readValidity(material).own;
    },
  });
  opened.defer(() => cluster.stop());
  late.parts = cluster;
  const server = await createAgentServer(config, {
    ...parts,
    ...{ host, cluster, metrics, logRing, prober },
    listeners: () => listeners,
    warnings: allWarnings,
  });
  security.start(agent);
  await runDaemon({
    config,
    agent,
    controller: host.controller,
    server,
    stop: stop.signal,
    warn: (message) => warnings.push(message),
    service: {
      manager: new SdNotify({ env: ENVIRONMENT, pid: Deno.pid }),
      // The key does not exist: any answer shows that the store works.
      probe: () => state.store.get(["alive"]),
    },
    onSocketRestored: () => state.queue.link(),
    onListening: (listener) => listeners.push(listener),
    async onReady(at) {
      await docker?.start();
      cluster.start();
      // The peers of the last run, until the registry is heard.
      prober?.update();
      state.queue.link();
      if (options.log.format !== "json") {
        greet(config, at, options.program.main);
      }
    },
  });
}

async function startLog(options: LogOptions): Promise<LogRing> {
  const logRing = new LogRing();
  await configureLogging({ ...options, ring: logRing, write: writeError });
  return logRing;
}

async function startAgent(
  config: AgentConfig,
  { state, security, metrics, bootId, late, machine, probeKeys, presenceOf }: {
    readonly state: AgentState;
    readonly security: Security;
    readonly metrics: Metrics;
    readonly bootId: string;
    readonly late: LateCluster;
    readonly machine: Machine;
    readonly probeKeys: KnownProbeKeys;
    readonly presenceOf: EndpointLookup["presenceOf"];
  },
): Promise<Agent> {
  const { store, registryStore, queue } = state;
  const runner = new DenoCommandRunner();
  return await Agent.start({
    ...config,
    store,
    ...registryStore && { registryStore },
    peers: config.join.map((url) =>
      measurePeer(
        new RpcRegistryPeer(url, security.connect(url), {
          onClockOffset: (offsetMs) => metrics.agent.clockOffset(offsetMs),
          ...{ report: late.report, journal: late.journal, probeKeys },
        }),
        metrics.agent,
      )
    ),
    machine,
    metrics: metrics.agent,
    onTrust: security.onTrust,
    onLeft: late.onLeft,
    onRemoval: late.onRemoval,
    onLeak: late.onLeak,
    hasGivenCertificates: config.security.kind === "given",
    now: Date.now,
    uptimeMs,
    random: Math.random,
    netns: new DenoNetns(),
    neighbours: new BridgeNeighbours({
      runner,
      probe: new LinuxPathProbe({ runner }),
      uptimeMs,
    }),
    queue,
    dockerEndpoints: { presenceOf },
    bootId,
    randomId: crypto.randomUUID.bind(crypto),
  });
}

function greet(
  config: AgentConfig,
  listeners: readonly string[],
  main: string,
): void {
  const program = formatProgram(
    config.socketPath,
    BUILD.kind === "sources" ? main : undefined,
  );
  const { node, socketPath } = config;
  const addresses = listeners.filter((listener) => listener !== socketPath);
  const plain = speaksPlainText(config.security)
    ? addresses
    : addresses.filter((address) => isThisHost(`http://${address}`));
  writeError(
    formatGreeting({ program, node, socketPath, addresses, plain }),
  );
}

/**
 * Limits the agent to the files and folders that its flags name.
 *
 * @param programDir folder of the agent's modules
 */
async function keepAgentFolders(
  { stateDir, socketPath, store, security, docker }: AgentConfig,
  programDir: string,
): Promise<void> {
  await keepFolders({
    // The agent loads some of its modules only when it needs them.
    read: [programDir, ...AGENT_READS.map(({ path }) => path)]
      .concat(typeof store === "object" ? filesOf(store) : [])
      .concat(securityFiles(security)),
    write: [stateDir, dirname(socketPath)]
      .concat(docker ? dirname(docker.pluginPath) : [])
      .concat(docker?.apiPath ?? [])
      .concat(Deno.env.get("NOTIFY_SOCKET")?.match(/^\/.*/) ?? []),
  });
}

function securityFiles(security: AgentSecurity): string[] {
  switch (security.kind) {
    case "cluster":
      return security.tokenPath === undefined ? [] : [security.tokenPath];
    case "given":
      return Object.values(security.paths);
    case "none":
      return [];
  }
}

function filesOf({ tls, user }: EtcdChoice): string[] {
  return [tls?.caPath, tls?.certPath, tls?.keyPath, user?.passwordPath]
    .filter((path) => path !== undefined);
}
