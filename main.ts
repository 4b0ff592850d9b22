/**
 * One executable, several faces. This file picks the face and gives it its
 * adapters. Each face is imported when it is picked, so that none pays for what
 * another needs.
 */
import config from "./deno.json" with { type: "json" };
import type { AgentConfig } from "./src/agent/config.ts";
import type { LogOptions } from "./src/cli/io.ts";

const VERSION = config.version;
/** Changes with every boot of the host (random(4)). */
const BOOT_ID_PATH = "/proc/sys/kernel/random/boot_id";
/** How a person calls this program. */
const PROGRAM = Deno.build.standalone
  ? "stellar-net"
  : "npx -y deno@2.9.6 task stellar-net";

/** Runs the command line. */
async function runCommandLine(): Promise<number> {
  const [
    { hostname },
    { createClients },
    { runCli },
    { formatLauncher, FileCniSetup },
    { DenoCommandRunner },
    { createRpcTransport },
  ] = await Promise.all([
    import("node:os"),
    import("./src/cli/client.ts"),
    import("./src/cli/program.ts"),
    import("./src/host/file_cni_setup.ts"),
    import("./src/host/deno_command.ts"),
    import("./src/rpc/client.ts"),
  ]);
  return await runCli(Deno.args, {
    version: VERSION,
    env: Deno.env.toObject(),
    stdout: writeTo(Deno.stdout),
    stderr: writeTo(Deno.stderr),
    isTerminal: Deno.stderr.isTerminal(),
    columns: columns(),
    now: Date.now,
    hostname,
    connect: ({ socketPath }, { timeoutMs }) =>
      createClients(createRpcTransport({ socketPath }, { timeoutMs })),
    cni: new FileCniSetup(
      Deno.build.standalone ? { kind: "executable", path: Deno.execPath() } : {
        kind: "launcher",
        text: formatLauncher([
          Deno.execPath(),
          "run",
          "--quiet",
          "-A",
          import.meta.filename!,
        ]),
      },
      new DenoCommandRunner(),
    ),
    runAgent,
  });
}

/** Runs the agent. */
async function runAgent(
  config: AgentConfig,
  logOptions: LogOptions,
): Promise<void> {
  const [
    { Agent },
    { runDaemon },
    { DenoCommandRunner },
    { DenoNetns },
    { FileReleaseQueue },
    { readHostPrefixes },
    { formatGreeting },
    { configureLogging },
    { makeStateDir },
    { createRoutes },
    { createRpcServer },
    { openDenoKv },
  ] = await Promise.all([
    import("./src/agent/agent.ts"),
    import("./src/agent/daemon.ts"),
    import("./src/host/deno_command.ts"),
    import("./src/host/deno_netns.ts"),
    import("./src/host/file_release_queue.ts"),
    import("./src/host/host_prefixes.ts"),
    import("./src/cli/greeting.ts"),
    import("./src/host/logging.ts"),
    import("./src/host/state_dir.ts"),
    import("./src/rpc/routes.ts"),
    import("./src/rpc/server.ts"),
    import("./src/store/deno_kv.ts"),
  ]);
  await configureLogging({ ...logOptions, write: writeTo(Deno.stderr) });
  const stop = new AbortController();
  const onSignal = () => stop.abort();
  Deno.addSignalListener("SIGTERM", onSignal);
  Deno.addSignalListener("SIGINT", onSignal);
  makeStateDir(config.stateDir);
  const store = await openDenoKv({
    path: config.store === "file" ? `${config.stateDir}/state.db` : ":memory:",
  });
  try {
    const agent = await Agent.start({
      ...config,
      store,
      now: Date.now,
      netns: new DenoNetns(),
      queue: FileReleaseQueue.open({
        path: `${config.stateDir}/queue`,
        socketPath: config.socketPath,
      }),
      bootId: Deno.readTextFileSync(BOOT_ID_PATH).trim(),
      randomId: () => crypto.randomUUID(),
    });
    const listeners: string[] = [];
    const warnings: string[] = [];
    const routes = createRoutes(agent, {
      version: VERSION,
      listeners: () => listeners,
      warnings: () => warnings,
    });
    await runDaemon({
      config,
      agent,
      server: createRpcServer({ routes }),
      readHostPrefixes: () => readHostPrefixes(new DenoCommandRunner()),
      stop: stop.signal,
      warn: (message) => warnings.push(message),
      onReady(at) {
        listeners.push(...at);
        if (logOptions.format === "json") return;
        writeTo(Deno.stderr)(formatGreeting({
          program: PROGRAM,
          node: config.node,
          socketPath: config.socketPath,
          addresses: at.filter((listener) => listener !== config.socketPath),
        }));
      },
    });
  } finally {
    await store.close();
    Deno.removeSignalListener("SIGTERM", onSignal);
    Deno.removeSignalListener("SIGINT", onSignal);
  }
}

function writeTo(
  stream: { writeSync(bytes: Uint8Array): number },
): (text: string) => void {
  const encoder = new TextEncoder();
  return (text) => {
    let bytes = encoder.encode(text);
    while (bytes.length > 0) bytes = bytes.subarray(stream.writeSync(bytes));
  };
}

function columns(): number | undefined {
  try {
    return Deno.consoleSize().columns;
  } catch {
    // Not a terminal: help has its default width.
    return undefined;
  }
}

if (import.meta.main) Deno.exitCode = await runCommandLine();
