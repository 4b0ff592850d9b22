import {
  createRouterTransport,
  type ServiceImpl,
  type Transport,
} from "@connectrpc/connect";
import { NetError } from "../../src/base/error.ts";
import type { AgentConfig } from "../../src/config/config.ts";
import { parsePrefix } from "../../src/net/prefix.ts";
import type {
  AcceptRequest,
  CompactRequest,
  MigrationRequest,
  MigrationSummary,
  RebuildRequest,
  RestoreRequest,
  RestoreSummary,
} from "../../src/backup/port.ts";
import { BUILD, type BuildInfo } from "../../src/build/build_info.ts";
import { createClients } from "../../src/cli/framework/client.ts";
import type {
  IdentityOrder,
  IdentitySummary,
} from "../../src/cli/framework/io.ts";
import type {
  AgentTarget,
  CliIo,
  LogOptions,
} from "../../src/cli/framework/io.ts";
import type { InstallIo } from "../../src/install/port.ts";
import type { InstallOptions } from "../../src/cni/setup.ts";
import type { CommandOutput } from "../../src/system/command.ts";
import type { WholeFiles } from "../../src/system/deno_whole_files.ts";
import { runCli } from "../../src/cli/program.ts";
import { AgentService } from "../../src/gen/stellar/net/v1/agent_pb.ts";
import { IdentityService } from "../../src/gen/stellar/net/v1/identity_pb.ts";
import { IpamService } from "../../src/gen/stellar/net/v1/ipam_pb.ts";
import { ClusterService } from "../../src/gen/stellar/net/v1/cluster_pb.ts";
import { RegistryService } from "../../src/gen/stellar/net/v1/registry_pb.ts";
import { fromConnectError } from "../../src/api/messages/errors.ts";
import { createFakeInstaller } from "../fake/fake_installer.ts";

/** The time in tests of the command line: 2026-01-02 03:04:05Z, in ms. */
export const NOW_MS = Date.UTC(2026, 0, 2, 3, 4, 5);

/** What an agent of a test answers; calls without a handler fail. */
export interface Handlers {
  readonly agent?: Partial<ServiceImpl<typeof AgentService>>;
  readonly cluster?: Partial<ServiceImpl<typeof ClusterService>>;
  readonly identity?: Partial<ServiceImpl<typeof IdentityService>>;
  readonly ipam?: Partial<ServiceImpl<typeof IpamService>>;
  readonly registry?: Partial<ServiceImpl<typeof RegistryService>>;
}

/** What of the world differs from the usual. */
export interface FakeIoOptions extends Handlers {
  readonly build?: BuildInfo;
  readonly env?: Readonly<Record<string, string>>;
  readonly hostname?: string;
  /** The time, in ms. Default: {@linkcode NOW_MS}. */
  readonly nowMs?: number;
  readonly isTerminal?: boolean;
  readonly isOutputTerminal?: boolean;
  /** Called for each wait; whether to go on. Default: not. */
  readonly waits?: () => boolean;
  readonly columns?: number;
  /** Paths of the CNI plugins that are there. */
  readonly plugins?: readonly string[];
  readonly uplinkMtu?: number;
  /** Docker, by the path of its socket. Default: one without networks. */
  readonly docker?: CliIo["docker"];
  /** What installing finds. Default: a host with nothing, and no systemd. */
  readonly installer?: InstallIo;
  /** State folders of agents, by their sockets. */
  readonly stateDirs?: Readonly<Record<string, string>>;
  /** Thrown in place of writing a file. */
  readonly writeError?: Error;
  /** Thrown by the agent in place of running. */
  readonly agentError?: unknown;
  /** What programs of the host leave. Default: nothing, and success. */
  readonly commands?: (line: string) => CommandOutput | undefined;
}

/** A run of the command line, in memory. */
export interface CliRun {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** How agents were run. */
  readonly agents: readonly {
    readonly config: AgentConfig;
    readonly log: LogOptions;
  }[];
  /** What was installed. */
  readonly installs: readonly InstallOptions[];
  /** The registries that were rebuilt. */
  readonly rebuilds: readonly RebuildRequest[];
  /** The states that were accepted. */
  readonly accepts: readonly AcceptRequest[];
  /** What was restored. */
  readonly restores: readonly RestoreRequest[];
  /** Files that were signed, with the folder of the identity. */
  readonly signed: readonly (readonly [file: string, dir: string])[];
  /** What was moved. */
  readonly migrations: readonly MigrationRequest[];
  /** What was compacted. */
  readonly compactions: readonly CompactRequest[];
  /** The files that were written. */
  readonly written: ReadonlyMap<string, Uint8Array>;
  /** What was connected to. */
  readonly targets: readonly (AgentTarget & { readonly timeoutMs: number })[];
  /** The maps that were served. */
  readonly maps: readonly (AgentTarget & {
    readonly timeoutMs: number;
    readonly port: number | undefined;
  })[];
  /** What was asked of identities in folders. */
  readonly identityCalls: readonly (
    | ["create", IdentityOrder]
    | ["renew", dir: string, options: { readonly timeoutMs: number }]
    | ["show", dir: string]
  )[];
}

/** What every folder of an identity holds. */
const ALICE: IdentitySummary = {
  role: "operator",
  name: "alice",
  clusterId: "cluster-1",
  serial: "0a1b",
  issuedAtMs: NOW_MS - 86_400_000,
  notAfterMs: NOW_MS + 29 * 86_400_000,
  urls: ["https://198.18.0.1:9000"],
};

/** What a restore answers. */
const RESTORED: RestoreSummary = {
  header: {
    stellarNetBackup: 1,
    schema: 2,
    program: "1.2.2",
    cluster: "cluster-1",
    node: "node1",
    instance: "instance-1",
    takenAt: "2026-01-01T00:00:00.000Z",
  },
  entries: 100,
  hasRegistry: true,
  nodes: 3,
  held: 10,
  history: 20,
};

/** What a migration answers. */
const MIGRATED: MigrationSummary = {
  from: "kv:/var/lib/stellar-net/state.db",
  to: "etcd://h1:2379/stellar-net",
  clusterId: "cluster-1",
  isResumed: false,
  nodes: 3,
  subnets: 4,
  routes: 1,
  held: 10,
  history: 20,
  entries: 60,
  bytes: 6000,
};

/** Files in memory: one is there when all of it is. */
function fakeFiles(
  written: Map<string, Uint8Array>,
  { writeError }: FakeIoOptions,
): WholeFiles {
  return {
    async write(path, pieces) {
      if (writeError) throw writeError;
      const all: Uint8Array<ArrayBuffer>[] = [];
      for await (const piece of pieces) all.push(piece);
      written.set(path, await new Blob(all).bytes());
    },
    read: () => {
      throw new Error("Cannot read: no command of a test does");
    },
  };
}

/** Runs the command line against an agent of handlers. */
export async function runFake(
  args: readonly string[],
  options: FakeIoOptions = {},
): Promise<CliRun> {
  const { io, take } = createFakeIo(options);
  const code = await runCli(args, io);
  return { code, ...take() };
}

async function* converted<T>(messages: AsyncIterable<T>): AsyncGenerator<T> {
  try {
    yield* messages;
  } catch (error) {
    throw fromConnectError(error);
  }
}

/** Makes a world in memory; `take` tells what was done to it. */
export function createFakeIo(options: FakeIoOptions = {}): {
  readonly io: CliIo;
  readonly take: () => Omit<CliRun, "code">;
} {
  const agents: CliRun["agents"][number][] = [];
  const installs: InstallOptions[] = [];
  const targets: CliRun["targets"][number][] = [];
  const maps: CliRun["maps"][number][] = [];
  const identityCalls: CliRun["identityCalls"][number][] = [];
  const restores: RestoreRequest[] = [];
  const accepts: AcceptRequest[] = [];
  const rebuilds: RebuildRequest[] = [];
  const signed: (readonly [string, string])[] = [];
  const migrations: MigrationRequest[] = [];
  const compactions: CompactRequest[] = [];
  const written = new Map<string, Uint8Array>();
  let stdout = "";
  let stderr = "";
  const inner = createRouterTransport((router) => {
    router.service(AgentService, options.agent ?? {});
    router.service(ClusterService, options.cluster ?? {});
    router.service(IdentityService, options.identity ?? {});
    router.service(IpamService, options.ipam ?? {});
    router.service(RegistryService, options.registry ?? {});
  });
  // As the RPC client does: whatever goes wrong is a NetError.
  const transport: Transport = {
    async stream(...call) {
      const response = await inner.stream(...call);
      return { ...response, message: converted(response.message) };
    },
    async unary(...call) {
      try {
        return await inner.unary(...call);
      } catch (error) {
        throw fromConnectError(error);
      }
    },
  };
  const io: CliIo = {
    version: "1.2.3",
    build: () => Promise.resolve(options.build ?? BUILD),
    runtime: { deno: "2.0.0", v8: "13.0", typescript: "5.6.2" },
    env: options.env ?? {},
    stdout: (text) => {
      stdout += text;
    },
    stderr: (text) => {
      stderr += text;
    },
    isTerminal: options.isTerminal ?? false,
    isOutputTerminal: options.isOutputTerminal ?? false,
    wait: () => Promise.resolve(options.waits?.() ?? false),
    columns: options.columns,
    now: () => options.nowMs ?? NOW_MS,
    hostname: () => options.hostname ?? "host1",
    connect: (target, { timeoutMs }) => {
      targets.push({ ...target, timeoutMs });
      return createClients(transport);
    },
    serveMap: (target, { timeoutMs, port }) => {
      maps.push({ ...target, timeoutMs, port });
      return Promise.resolve({
        link: `http://127.0.0.1:${port ?? 40_000}/?key=secret`,
        port: port ?? 40_000,
        ended: Promise.resolve(),
      });
    },
    identities: {
      create: (order) => {
        identityCalls.push(["create", order]);
        return Promise.resolve(ALICE);
      },
      renew: (dir, options) => {
        identityCalls.push(["renew", dir, options]);
        return Promise.resolve(ALICE);
      },
      show: (dir) => {
        identityCalls.push(["show", dir]);
        return Promise.resolve(ALICE);
      },
    },
    cni: {
      absolutePath: (path) => path.startsWith("/") ? path : `/here/${path}`,
      findPluginDir: () => Promise.resolve("/usr/lib/cni"),
      nativePlugin: () => Promise.resolve(undefined),
      hasPlugin: (dir, plugin) =>
        Promise.resolve((options.plugins ?? []).includes(`${dir}/${plugin}`)),
      install: (install) => {
        installs.push(install);
        return Promise.resolve();
      },
      uplinkMtu: () => Promise.resolve(options.uplinkMtu),
    },
    docker: options.docker ?? (() => ({
      find: () => Promise.resolve(undefined),
      create: () => Promise.resolve(),
      remove: () => Promise.resolve(),
    })),
    installer: () =>
      Promise.resolve(options.installer ?? createFakeInstaller()),
    files: fakeFiles(written, options),
    writeProtos: (dir) => Promise.resolve([`${dir}/a.proto`]),
    commands: {
      run: ({ program, args }) =>
        Promise.resolve(
          options.commands?.([program, ...args].join(" ")) ??
            { code: 0, stdout: "", stderr: "" },
        ),
    },
    findStateDir: (socketPath) => options.stateDirs?.[socketPath],
    signFile: (file, dir) => {
      signed.push([file, dir]);
      return Promise.resolve();
    },
    verifyFile: (_, dir) =>
      dir.includes("wrong")
        ? Promise.reject(
          new NetError("unauthenticated", "Cannot trust the file: it differs"),
        )
        : Promise.resolve("node node1"),
    restore: (request) => {
      restores.push(request);
      return Promise.resolve(RESTORED);
    },
    rebuild: (request) => {
      rebuilds.push(request);
      const { store, stateDir } = request;
      return Promise.resolve({
        store: typeof store === "object"
          ? `etcd://${store.endpoints.join()}${store.prefix}`
          : `kv:${stateDir}/state.db`,
        ...{ clusterId: "cluster-1", node: "node2", revision: 7, routes: 1 },
        reports: [{ node: "node2", revision: 7 }],
        conflicts: [{
          subnet: parsePrefix("172.16.4.0/22"),
          ...{ kept: "node2", keptBy: "node2", node: "node3", by: "node4" },
        }],
        nodes: [{
          name: "node2",
          subnets: [parsePrefix("172.16.4.0/22")],
          hasAgent: true,
        }, { name: "api", subnets: [], hasAgent: false }],
      });
    },
    accept: (request) => {
      accepts.push(request);
      return Promise.resolve();
    },
    compact: (request) => {
      compactions.push(request);
      return Promise.resolve({
        file: `${request.stateDir}/state.db`,
        ...{ bytesBefore: 75_000_000, bytesAfter: 5_500_000 },
        ...{ entries: 10_000, removed: 70_000 },
      });
    },
    migrate: (request) => {
      migrations.push(request);
      request.onProgress({ kind: "frozen" });
      for (const entries of [1, 30, 31, 60]) {
        request.onProgress({ kind: "copied", entries, total: 60 });
      }
      request.onProgress({ kind: "verified" });
      return Promise.resolve(MIGRATED);
    },
    runAgent: (config, log) => {
      agents.push({ config, log });
      return "agentError" in options
        ? Promise.reject(options.agentError)
        : Promise.resolve();
    },
  };
  return {
    io,
    take: () => ({
      stdout,
      stderr,
      agents,
      targets,
      maps,
      identityCalls,
      installs,
      restores,
      accepts,
      rebuilds,
      signed,
      migrations,
      compactions,
      written,
    }),
  };
}
