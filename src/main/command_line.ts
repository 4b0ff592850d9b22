import { hostname } from "node:os";
import { dirname } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { queueLink } from "../cni/text/queue_entry.ts";
import { BUILD, type BuildInfo } from "../build/build_info.ts";
import { createClients } from "../cli/framework/client.ts";
import type { AgentTarget, ConnectOptions } from "../cli/framework/io.ts";
import { runCli } from "../cli/program.ts";
import { DenoCommandRunner } from "../system/deno_command.ts";
import { DenoWholeFiles } from "../system/deno_whole_files.ts";
import { DockerEngine } from "../docker/engine.ts";
import { FileCniSetup } from "../cni/file_setup.ts";
import type { Operators } from "../security/operators.ts";
import { createRpcTransport, lazyTransport } from "../api/client/client.ts";
import {
  columns,
  ENVIRONMENT,
  executable,
  type Program,
  writeError,
  writeTo,
} from "./process.ts";

const BUNDLE_TIMEOUT_MS = 120_000;

/** Runs the command line. Large parts are imported by the commands that need them. @returns the exit code */
export async function runCommandLine(program: Program): Promise<number> {
  const { version, main, dir } = program;
  return await runCli(Deno.args, {
    version,
    build: () => readBuild(dir),
    runtime: Deno.version,
    env: ENVIRONMENT,
    // A reader such as head(1) has read enough.
    stdout: writeTo(Deno.stdout, () => Deno.exit(0)),
    stderr: writeError,
    isTerminal: Deno.stderr.isTerminal(),
    isOutputTerminal: Deno.stdout.isTerminal(),
    wait: async (ms) => {
      await delay(ms);
      return true;
    },
    columns: columns(),
    now: Date.now,
    hostname,
    connect: (target, options) => createClients(openTransport(target, options)),
    serveMap: async (target, { port, ...options }) =>
      await (await import("./map.ts"))
        .serveMap(openTransport(target, options), port),
    identities: {
      create: async (order) => await (await openOperators()).create(order),
      renew: async (...args) => await (await openOperators()).renew(...args),
      show: async (dir) => await (await openOperators()).show(dir),
    },
    cni: new FileCniSetup(
      BUILD.kind !== "sources"
        ? {
          kind: "executable",
          path: executable(),
          nativePlugin: async () =>
            (await import("../cni/native_plugin.ts")).NATIVE_PLUGIN,
        }
        : {
          kind: "sources",
          main,
          deno: Deno.execPath(),
          config: `${dir}/deno.json`,
        },
      // It bundles the sources, which takes a busy machine a while.
      new DenoCommandRunner({ timeoutMs: BUNDLE_TIMEOUT_MS }),
    ),
    docker: (socketPath) => new DockerEngine(socketPath),
    installer: async () => (await import("./installer.ts")).createInstaller(),
    files: new DenoWholeFiles(),
    writeProtos: async (dir) => (await import("./protos.ts")).writeProtos(dir),
    commands: new DenoCommandRunner(),
    findStateDir: findQueueOwner,
    signFile: async (file, dir) =>
      (await import("./offline_state.ts")).signFileWith(file, dir),
    verifyFile: async (file, dir) =>
      (await import("./offline_state.ts")).verifyFileWith(file, dir),
    restore: async (request) =>
      (await import("./offline_state.ts")).restore(request),
    accept: async (request) =>
      (await import("./offline_state.ts")).accept(request),
    rebuild: async (request) =>
      (await import("./offline_state.ts")).rebuild(request),
    compact: async (request) =>
      (await import("./offline_state.ts")).compact(request),
    migrate: async (request) =>
      (await import("./offline_state.ts")).migrate(request),
    runAgent: async (config, log) =>
      (await import("./agent.ts")).runAgent(config, { log, program }),
  });
}

function openTransport(
  target: AgentTarget,
  options: ConnectOptions,
): ReturnType<typeof createRpcTransport> {
  return "identity" in target && target.identity !== undefined
    ? lazyTransport(async () =>
      await (await import("./operators.ts")).openTransportAs(target, options)
    )
    : createRpcTransport(target, options);
}

async function openOperators(): Promise<Operators> {
  return (await import("./operators.ts")).createOperators();
}

/** The build of this program; for sources, with their commit. */
async function readBuild(dir: string): Promise<BuildInfo> {
  if (BUILD.kind !== "sources") return BUILD;
  const { readGitCommit } = await import("../build/build.ts");
  return { ...BUILD, ...await readGitCommit(dir) };
}

/** The state folder behind the link that an agent makes beside its socket. */
function findQueueOwner(socketPath: string): string | undefined {
  try {
    return dirname(Deno.readLinkSync(queueLink(socketPath)));
  } catch {
    // No agent has served there since the folder of the socket was made.
    return undefined;
  }
}
