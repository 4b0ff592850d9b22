import type { AgentConfig } from "../agent/config.ts";
import { BUILD } from "../build/build_info.ts";
import type { LogOptions } from "../cli/io.ts";
import type { Store } from "../store/store.ts";
import { Agent } from "../agent/agent.ts";
import { AuditStore } from "../agent/audit_store.ts";
import { readState } from "../agent/backup.ts";
import { runDaemon } from "../agent/daemon.ts";
import { Examiner } from "../agent/doctor/examiner.ts";
import { HostKeeper } from "../agent/host_keeper.ts";
import { measurePeer } from "../agent/measured_peer.ts";
import { measureStore } from "../agent/measured_store.ts";
import { checkLive, checkReady } from "../agent/readiness.ts";
import { resolveRouteMode } from "../agent/route_mode.ts";
import { DenoCommandRunner } from "../host/deno_command.ts";
import { DenoCommandFollower } from "../host/deno_command_follower.ts";
import { DenoNetns } from "../host/deno_netns.ts";
import { FileReleaseQueue } from "../host/file_release_queue.ts";
import { findGroup } from "../host/groups.ts";
import { readHostPrefixes } from "../host/host_prefixes.ts";
import { IpRoutes } from "../host/ip_routes.ts";
import { LinuxHostNetwork } from "../host/linux_host_network.ts";
import { LinuxPathProbe } from "../host/linux_path_probe.ts";
import { formatGreeting } from "../cli/greeting.ts";
import { configureLogging } from "../host/logging.ts";
import { LogRing } from "../host/log_ring.ts";
import { readKernelFile } from "../host/kernel_file.ts";
import { connectionsPerListener } from "../host/open_files.ts";
import { readProcessStats } from "../host/process_stats.ts";
import { SdNotify } from "../host/sd_notify.ts";
import { makeStateDir } from "../host/state_dir.ts";
import { statSocket } from "../host/stat_socket.ts";
import { Metrics } from "../metrics/metrics.ts";
import { askAgent } from "../rpc/ask_agent.ts";
import { createRpcTransport } from "../rpc/client.ts";
import { DEFAULT_LIMITS } from "../rpc/limits.ts";
import { Monitor } from "../rpc/monitor.ts";
import { Peers } from "../rpc/peers.ts";
import { RpcRegistryPeer } from "../rpc/registry_peer.ts";
import { createRoutes } from "../rpc/routes.ts";
import { createRpcServer } from "../rpc/server.ts";
import { TlsIdentity } from "../rpc/tls_identity.ts";
import { openDenoKv } from "../store/deno_kv.ts";
import { keepAgentFolders } from "./agent_folders.ts";
import { followCertificates } from "./certificates.ts";
import { ENVIRONMENT } from "./environment.ts";
import { writeError } from "./output.ts";
import type { Program } from "./program.ts";
import { openRegistryStore } from "./stores.ts";
import { findTracing } from "./tracing.ts";

/** Changes with every boot of the host (random(4)). */
const BOOT_ID_PATH = "/proc/sys/kernel/random/boot_id";
/** How a person calls this program. */
const PROGRAM = BUILD.kind === "sources"
  ? "npx -y deno@2.9.6 task stellar-net"
  : "stellar-net";

/** Runs the agent until it is told to stop. */
export async function runAgent(
  config: AgentConfig,
  options: { readonly log: LogOptions; readonly program: Program },
): Promise<void> {
  const { program } = options;
  const logRing = new LogRing();
  await configureLogging({
    ...options.log,
    write(line) {
      logRing.add(line);
      writeError(line);
    },
  });
  const stop = new AbortController();
  const onSignal = () => stop.abort();
  Deno.addSignalListener("SIGTERM", onSignal);
  Deno.addSignalListener("SIGINT", onSignal);
  if (BUILD.kind !== "sources") await keepAgentFolders(config, program.dir);
  makeStateDir(config.stateDir);
  const metrics = new Metrics({
    version: program.version,
    commit: BUILD.commit ?? "",
    deno: Deno.version.deno,
  });
  const opened = await openDenoKv({
    path: config.store === "memory"
      ? ":memory:"
      : `${config.stateDir}/state.db`,
  });
  const store = measureStore(opened, metrics.agent);
  const audit = AuditStore.start({
    store,
    keepMs: config.keepHistoryMs,
    now: Date.now,
  });
  let registryStore: Store | undefined;
  let stopFollowing: (() => Promise<void>) | undefined;
  try {
    const { security } = config;
    const tls = security.kind === "given"
      ? await TlsIdentity.open(security.paths, { node: config.node })
      : undefined;
    stopFollowing = tls && followCertificates(tls);
    const shared = await openRegistryStore(config);
    if (shared) registryStore = measureStore(shared, metrics.agent);
    const queue = FileReleaseQueue.open({
      path: `${config.stateDir}/queue`,
      socketPath: config.socketPath,
    });
    const connect = (url: string) => createRpcTransport({ url }, { tls });
    const agent = await Agent.start({
      ...config,
      store,
      ...registryStore && { registryStore },
      peers: config.join.map((url) =>
        measurePeer(new RpcRegistryPeer(url, connect(url)), metrics.agent)
      ),
      metrics: metrics.agent,
      now: Date.now,
      uptimeMs: () => performance.now(),
      random: Math.random,
      netns: new DenoNetns(),
      queue,
      bootId: (await readKernelFile(BOOT_ID_PATH)).trim(),
      randomId: () => crypto.randomUUID(),
    });
    const listeners: string[] = [];
    const warnings: string[] = [];
    const runner = new DenoCommandRunner();
    const follower = new DenoCommandFollower();
    const network = new LinuxHostNetwork({ runner, follower });
    const { mode, warning } = await resolveRouteMode(config.routes, network);
    if (warning) warnings.push(warning);
    const keeper = new HostKeeper({
      config,
      node: config.node,
      home: agent.home,
      store,
      mode,
      network,
      routes: new IpRoutes({ runner, follower }),
      readPrefixes: () => readHostPrefixes(runner, config.routeProtocol),
      now: Date.now,
    });
    const peers = new Peers({ agent, connect });
    const examiner = new Examiner({
      agent,
      keeper,
      store,
      probe: new LinuxPathProbe({ runner }),
      protocol: config.routeProtocol,
      version: program.version,
      statSocket: () => statSocket(config.socketPath),
      callPeer: (url) => askAgent(peers.at(url)),
      now: Date.now,
    });
    const routes = createRoutes({
      agent,
      keeper,
      examiner,
      peers,
      audit,
      process: {
        version: program.version,
        listeners: () => listeners,
        warnings: () => [...warnings, ...tls?.warnings(Date.now()) ?? []],
        recentLog: () => logRing.lines,
        listAudit: (query) => audit.list(query),
        readState: () =>
          readState(store, {
            holdCluster: (run) => agent.host?.hold(run) ?? run(),
          }),
        now: Date.now,
      },
    });
    const monitor = new Monitor({
      metrics: () =>
        metrics.format({
          agent: async () => ({
            status: await agent.status(),
            followedRevision: agent.home.view.revision,
            routes: keeper.routes,
          }),
          process: readProcessStats,
        }),
      live: () => checkLive({ store }),
      ready: () => checkReady({ store, home: agent.home }),
    });
    await runDaemon({
      config,
      agent,
      keeper,
      server: createRpcServer({
        routes,
        tls,
        metrics: metrics.calls,
        tracing: await findTracing(),
        monitor,
        socketGroupId: config.socketGroup === undefined
          ? undefined
          : await findGroup(config.socketGroup),
        limits: {
          maxConnections: connectionsPerListener(
            await readKernelFile("/proc/self/limits"),
            {
              listeners: 1 + config.listen.length + config.metrics.length,
              most: DEFAULT_LIMITS.maxConnections,
            },
          ),
        },
      }),
      stop: stop.signal,
      warn: (message) => warnings.push(message),
      service: {
        manager: new SdNotify({ env: ENVIRONMENT, pid: Deno.pid }),
        // There is nothing: that the store says so is what counts.
        probe: () => store.get(["alive"]),
      },
      onReady(at) {
        queue.link();
        listeners.push(...at);
        if (options.log.format === "json") return;
        writeError(formatGreeting({
          program: PROGRAM,
          node: config.node,
          socketPath: config.socketPath,
          addresses: at.filter((listener) => listener !== config.socketPath),
        }));
      },
    });
  } finally {
    await stopFollowing?.();
    await registryStore?.close();
    await audit.stop();
    await store.close();
    Deno.removeSignalListener("SIGTERM", onSignal);
    Deno.removeSignalListener("SIGINT", onSignal);
  }
}
