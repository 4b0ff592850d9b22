/**
 * One executable, several faces. This file picks the face and gives it its
 * adapters. Each face is imported when it is picked, so that none pays for what
 * another needs.
 */
import type { AgentConfig, EtcdChoice } from "./src/agent/config.ts";
import type {
  MigrationRequest,
  MigrationSummary,
} from "./src/agent/migration.ts";
import type {
  RestoreRequest,
  RestoreSummary,
} from "./src/backup/restore_summary.ts";
import { BUILD, type BuildInfo } from "./src/build/build_info.ts";
import type { InstallIo } from "./src/cli/install_io.ts";
import type { LogOptions } from "./src/cli/io.ts";
import type { Tracing } from "./src/rpc/tracing.ts";
import type { Store } from "./src/store/store.ts";

/** Where OpenTelemetry's API is registered. */
const OTEL_API = Symbol.for("opentelemetry.js.api.1");
/** Changes with every boot of the host (random(4)). */
const BOOT_ID_PATH = "/proc/sys/kernel/random/boot_id";
/** Variables are looked up as they are asked for: not all of them may be read. */
const ENVIRONMENT = new Proxy<Record<string, string | undefined>>({}, {
  get: (_, name) => Deno.env.get(String(name)),
});
/** How long systemd may take to stop a service and to start it, in ms. */
const SERVICE_TIMEOUT_MS = 150_000;
/** How a person calls this program. */
const PROGRAM = BUILD.kind === "sources"
  ? "npx -y deno@2.9.6 task stellar-net"
  : "stellar-net";

/** Answers a container runtime that called this program as a CNI plugin. */
async function runPlugin(): Promise<number> {
  const [{ cniMain }, { createCniHost }] = await Promise.all([
    import("./src/cli/cni_main.ts"),
    import("./src/host/cni_host.ts"),
  ]);
  return await cniMain({
    ...createCniHost(),
    async connectStellar(peer) {
      const { createStellarClient } = await import(
        "./src/cli/cni_stellar_client.ts"
      );
      return createStellarClient(peer);
    },
  });
}

/** Runs the command line. */
async function runCommandLine(): Promise<number> {
  const [
    { default: { version } },
    { hostname },
    { createClients },
    { runCli },
    { FileCniSetup },
    { DenoCommandRunner },
    { DenoWholeFiles },
    { createRpcTransport },
  ] = await Promise.all([
    import("./deno.json", { with: { type: "json" } }),
    import("node:os"),
    import("./src/cli/client.ts"),
    import("./src/cli/program.ts"),
    import("./src/host/file_cni_setup.ts"),
    import("./src/host/deno_command.ts"),
    import("./src/host/deno_whole_files.ts"),
    import("./src/rpc/client.ts"),
  ]);
  return await runCli(Deno.args, {
    version,
    build: readBuild,
    runtime: Deno.version,
    env: ENVIRONMENT,
    // Whoever reads, such as head(1), has read enough.
    stdout: writeTo(Deno.stdout, () => Deno.exit(0)),
    stderr: writeError,
    isTerminal: Deno.stderr.isTerminal(),
    columns: columns(),
    now: Date.now,
    hostname,
    connect: ({ socketPath }, { timeoutMs }) =>
      createClients(createRpcTransport({ socketPath }, { timeoutMs })),
    cni: new FileCniSetup(
      BUILD.kind !== "sources" ? { kind: "executable", path: executable() } : {
        kind: "sources",
        main: import.meta.filename!,
        deno: Deno.execPath(),
        config: `${import.meta.dirname}/deno.json`,
      },
      new DenoCommandRunner(),
    ),
    installer: createInstaller,
    files: new DenoWholeFiles(),
    commands: new DenoCommandRunner(),
    restore,
    migrate,
    runAgent: (config, log) => runAgent(config, { log, version }),
  });
}

/** Makes what installing needs. */
async function createInstaller(): Promise<InstallIo> {
  const [
    { takeDown },
    { DenoCommandRunner },
    { DenoCommandFollower },
    { DenoHostFiles },
    { IpRoutes },
    { LinuxHostNetwork },
    { Systemd },
  ] = await Promise.all([
    import("./src/agent/take_down.ts"),
    import("./src/host/deno_command.ts"),
    import("./src/host/deno_command_follower.ts"),
    import("./src/host/deno_host_files.ts"),
    import("./src/host/ip_routes.ts"),
    import("./src/host/linux_host_network.ts"),
    import("./src/host/systemd.ts"),
  ]);
  const tools = {
    runner: new DenoCommandRunner(),
    follower: new DenoCommandFollower(),
  };
  return {
    programPath: BUILD.kind === "sources" ? undefined : executable(),
    filesAt: (root) => new DenoHostFiles(root),
    services: new Systemd(
      new DenoCommandRunner({ timeoutMs: SERVICE_TIMEOUT_MS }),
    ),
    takeDown: (options) =>
      takeDown({
        ...options,
        routes: new IpRoutes(tools),
        network: new LinuxHostNetwork(tools),
      }),
  };
}

/** Restores a state from a backup. */
async function restore(request: RestoreRequest): Promise<RestoreSummary> {
  const [
    { resolve },
    { restoreState },
    { readBackup },
    { DenoWholeFiles },
    { makeStateDir },
    { NewStateFile },
  ] = await Promise.all([
    import("node:path"),
    import("./src/agent/restore.ts"),
    import("./src/backup/read.ts"),
    import("./src/host/deno_whole_files.ts"),
    import("./src/host/state_dir.ts"),
    import("./src/store/new_state_file.ts"),
  ]);
  const files = new DenoWholeFiles();
  const stateDir = resolve(request.stateDir);
  if (!request.dryRun) makeStateDir(stateDir);
  return await restoreState({
    ...request,
    read: () => readBackup(files.read(request.file)),
    state: new NewStateFile(`${stateDir}/state.db`),
  });
}

/** Moves a registry to another store. */
async function migrate(
  { from, to, ...options }: MigrationRequest,
): Promise<MigrationSummary> {
  const [
    { resolve },
    { migrateRegistry },
    { makeStateDir },
    { openStateFile },
  ] = await Promise.all([
    import("node:path"),
    import("./src/agent/migrate.ts"),
    import("./src/host/state_dir.ts"),
    import("./src/store/state_file.ts"),
  ]);
  const stateDir = resolve(options.stateDir);
  const path = `${stateDir}/state.db`;
  if (to === "file" && !options.dryRun) makeStateDir(stateDir);
  await using stores = new AsyncDisposableStack();
  const keep = (store: Store) => stores.adopt(store, () => store.close());
  const summary = await migrateRegistry({
    ...options,
    source: keep(
      await openRegistryStore({ store: from }) ??
        await openStateFile(path, { missing: "refused" }),
    ),
    target: keep(
      await openRegistryStore({ store: to }) ??
        await openStateFile(path, {
          missing: options.dryRun ? "imagined" : "made",
        }),
    ),
    randomId: () => crypto.randomUUID(),
  });
  return to === "file" ? { ...summary, to: `kv:${path}` } : summary;
}

/** Tells how this program was built; of sources, which commit they are of. */
async function readBuild(): Promise<BuildInfo> {
  if (BUILD.kind !== "sources") return BUILD;
  const { readGitCommit } = await import("./src/build/git_commit.ts");
  return { ...BUILD, ...await readGitCommit(import.meta.dirname!) };
}

/** Path of the built program. One that unpacks itself is told it by its launcher. */
function executable(): string {
  return Deno.env.get("STELLAR_NET_EXECUTABLE") ?? Deno.execPath();
}

/** Opens the store of a registry that is kept in etcd; undefined for one that is in the agent's own. */
async function openRegistryStore(
  { store }: Pick<AgentConfig, "store">,
): Promise<Store | undefined> {
  if (typeof store !== "object") return undefined;
  const { openEtcd } = await import("./src/store/etcd.ts");
  return await openEtcd(store);
}

/** Runs the agent. */
async function runAgent(
  config: AgentConfig,
  options: { readonly log: LogOptions; readonly version: string },
): Promise<void> {
  const [
    { Agent },
    { readState },
    { runDaemon },
    { Examiner },
    { HostKeeper },
    { measurePeer },
    { measureStore },
    { checkLive, checkReady },
    { resolveRouteMode },
    { DenoCommandRunner },
    { DenoCommandFollower },
    { DenoNetns },
    { FileReleaseQueue },
    { readHostPrefixes },
    { IpRoutes },
    { LinuxHostNetwork },
    { LinuxPathProbe },
    { formatGreeting },
    { configureLogging },
    { LogRing },
    { readKernelFile },
    { connectionsPerListener },
    { readProcessStats },
    { SdNotify },
    { makeStateDir },
    { statSocket },
    { Metrics },
    { askAgent },
    { createRpcTransport },
    { DEFAULT_LIMITS },
    { Monitor },
    { Peers },
    { RpcRegistryPeer },
    { createRoutes },
    { createRpcServer },
    { openDenoKv },
  ] = await Promise.all([
    import("./src/agent/agent.ts"),
    import("./src/agent/backup.ts"),
    import("./src/agent/daemon.ts"),
    import("./src/agent/examiner.ts"),
    import("./src/agent/host_keeper.ts"),
    import("./src/agent/measured_peer.ts"),
    import("./src/agent/measured_store.ts"),
    import("./src/agent/readiness.ts"),
    import("./src/agent/route_mode.ts"),
    import("./src/host/deno_command.ts"),
    import("./src/host/deno_command_follower.ts"),
    import("./src/host/deno_netns.ts"),
    import("./src/host/file_release_queue.ts"),
    import("./src/host/host_prefixes.ts"),
    import("./src/host/ip_routes.ts"),
    import("./src/host/linux_host_network.ts"),
    import("./src/host/linux_path_probe.ts"),
    import("./src/cli/greeting.ts"),
    import("./src/host/logging.ts"),
    import("./src/host/log_ring.ts"),
    import("./src/host/kernel_file.ts"),
    import("./src/host/open_files.ts"),
    import("./src/host/process_stats.ts"),
    import("./src/host/sd_notify.ts"),
    import("./src/host/state_dir.ts"),
    import("./src/host/stat_socket.ts"),
    import("./src/metrics/metrics.ts"),
    import("./src/rpc/ask_agent.ts"),
    import("./src/rpc/client.ts"),
    import("./src/rpc/limits.ts"),
    import("./src/rpc/monitor.ts"),
    import("./src/rpc/peers.ts"),
    import("./src/rpc/registry_peer.ts"),
    import("./src/rpc/routes.ts"),
    import("./src/rpc/server.ts"),
    import("./src/store/deno_kv.ts"),
  ]);
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
  if (BUILD.kind !== "sources") await keepAgentFolders(config);
  makeStateDir(config.stateDir);
  const metrics = new Metrics({
    version: options.version,
    commit: BUILD.commit ?? "",
    deno: Deno.version.deno,
  });
  const opened = await openDenoKv({
    path: config.store === "memory"
      ? ":memory:"
      : `${config.stateDir}/state.db`,
  });
  const store = measureStore(opened, metrics.agent);
  let registryStore: Store | undefined;
  try {
    const shared = await openRegistryStore(config);
    if (shared) registryStore = measureStore(shared, metrics.agent);
    const queue = FileReleaseQueue.open({
      path: `${config.stateDir}/queue`,
      socketPath: config.socketPath,
    });
    const connect = (url: string) => createRpcTransport({ url });
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
      version: options.version,
      statSocket: () => statSocket(config.socketPath),
      callPeer: (url) => askAgent(peers.at(url)),
      now: Date.now,
    });
    const routes = createRoutes({
      agent,
      keeper,
      examiner,
      peers,
      process: {
        version: options.version,
        listeners: () => listeners,
        warnings: () => warnings,
        recentLog: () => logRing.lines,
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
        metrics: metrics.calls,
        tracing: await findTracing(),
        monitor,
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
    await registryStore?.close();
    await store.close();
    Deno.removeSignalListener("SIGTERM", onSignal);
    Deno.removeSignalListener("SIGINT", onSignal);
  }
}

/** Traces calls where Deno sends spans: elsewhere it costs nothing. */
async function findTracing(): Promise<Tracing | undefined> {
  // With OTEL_DENO the runtime registers with OpenTelemetry's API. To look into
  // the environment would need a right.
  if (!Object.hasOwn(globalThis, OTEL_API)) return undefined;
  const { createTracing } = await import("./src/rpc/otel_tracing.ts");
  return createTracing();
}

/** From here on an agent uses no files but those that its flags name. */
async function keepAgentFolders(
  { stateDir, socketPath, store }: AgentConfig,
): Promise<void> {
  const [{ AGENT_READS }, { keepFolders }, { dirname }] = await Promise.all([
    import("./src/build/permissions.ts"),
    import("./src/build/keep_folders.ts"),
    import("node:path"),
  ]);
  await keepFolders({
    // Its own modules too: some are loaded when they are needed.
    read: [import.meta.dirname!, ...AGENT_READS.map(({ path }) => path)]
      .concat(typeof store === "object" ? filesOf(store) : []),
    write: [stateDir, dirname(socketPath)]
      .concat(Deno.env.get("NOTIFY_SOCKET")?.match(/^\/.*/) ?? []),
  });
}

function filesOf({ tls, user }: EtcdChoice): string[] {
  return [tls?.caPath, tls?.certPath, tls?.keyPath, user?.passwordPath]
    .filter((path) => path !== undefined);
}

/** Writes whole texts. When nobody reads any more, `onBroken` decides. */
function writeTo(
  stream: { writeSync(bytes: Uint8Array): number },
  onBroken: () => void,
): (text: string) => void {
  const encoder = new TextEncoder();
  return (text) => {
    let bytes = encoder.encode(text);
    try {
      while (bytes.length > 0) bytes = bytes.subarray(stream.writeSync(bytes));
    } catch (error) {
      if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
      onBroken();
    }
  };
}

/** Notes and logs are for whom it may concern: an agent goes on without a reader. */
const writeError = writeTo(Deno.stderr, () => {});

function columns(): number | undefined {
  try {
    return Deno.consoleSize().columns;
  } catch {
    // Not a terminal: help has its default width.
    return undefined;
  }
}

if (import.meta.main) {
  if (Deno.env.get("CNI_COMMAND") === undefined) {
    // A connection that is being made would keep the process for minutes.
    Deno.exit(await runCommandLine());
  } else {
    if (BUILD.kind !== "sources") {
      await (await import("./src/build/keep_folders.ts")).keepToItself();
    }
    // A runtime that leaves stdin open must not keep the plugin waiting.
    Deno.exit(await runPlugin());
  }
}
