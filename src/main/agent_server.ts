import type { Agent } from "../agent/agent.ts";
import { lastBackupMs, readState, recordBackup } from "../backup/take.ts";
import type { AgentConfig } from "../config/config.ts";
import { checkLive, checkReady } from "../agent/status.ts";
import { findGroup } from "../system/groups.ts";
import { readKernelFile } from "../system/files.ts";
import type { LogRing } from "../system/logging.ts";
import {
  connectionsPerListener,
  readProcessStats,
} from "../system/process_stats.ts";
import type { CertificateReading } from "../metrics/agent_gauges.ts";
import type { Metrics } from "../metrics/metrics.ts";
import type { Prober } from "../probe/prober.ts";
import { readValidity, type Validity } from "../security/pki/validity.ts";
import { DEFAULT_LIMITS } from "../api/limits/limits.ts";
import { Monitor } from "../api/server/monitor.ts";
import { createRoutes } from "../api/services/router.ts";
import { createRpcServer, type RpcServer } from "../api/server/server.ts";
import type { AgentCluster } from "./agent_cluster.ts";
import type { OtherProtocol } from "../api/server/listener.ts";
import { connectWithin } from "../cni/agent_pipe.ts";
import { NATIVE_CALL, NativeCalls } from "../cni/native_call.ts";
import type { AgentHost } from "./agent_host.ts";
import type { AgentState } from "./agent_state.ts";
import type { Security } from "./security.ts";
import type { Tracing } from "../api/server/call.ts";

/** Key under which OpenTelemetry's API registers itself. */
const OTEL_API = Symbol.for("opentelemetry.js.api.1");

/** The parts behind an agent's API. */
export interface AgentServerOptions {
  readonly agent: Agent;
  readonly state: AgentState;
  readonly security: Security;
  readonly host: AgentHost;
  readonly cluster: AgentCluster;
  readonly metrics: Metrics;
  /** Undefined if the agent does not probe. */
  readonly prober: Prober | undefined;
  readonly logRing: LogRing;
  readonly version: string;
  readonly listeners: () => readonly string[];
  readonly warnings: () => readonly string[];
}

/** Makes the server of an agent's API. */
export async function createAgentServer(
  config: AgentConfig,
  options: AgentServerOptions,
): Promise<RpcServer> {
  const { agent, state, security, host, cluster, metrics, logRing } = options;
  const { store, audit } = state;
  const { credentials } = security;
  const routes = createRoutes({
    ...host,
    agent,
    cluster,
    audit,
    process: {
      version: options.version,
      listeners: options.listeners,
      warnings: options.warnings,
      security: () => ({
        kind: config.security.kind,
        endsAtMs: credentials?.endsAtMs,
      }),
      recentLog: () => logRing.lines,
      listAudit: (query) => audit.list(query),
      async *readState() {
        yield* readState(store, {
          holdCluster: (run) => agent.host?.hold(run) ?? run(),
        });
        await recordBackup(store, Date.now());
      },
      now: Date.now,
    },
  });
  const { socketGroup, listen, metrics: monitored } = config;
  const server = createRpcServer({
    routes,
    tls: credentials,
    metrics: metrics.calls,
    tracing: await findTracing(),
    other: serveNativePlugin(config.socketPath, (call) => server.ask(call)),
    monitor: createMonitor(config, options),
    socketGroupId: socketGroup === undefined
      ? undefined
      : await findGroup(socketGroup),
    limits: {
      maxConnections: connectionsPerListener(
        await readKernelFile("/proc/self/limits"),
        {
          listeners: 1 + listen.length + monitored.length,
          most: DEFAULT_LIMITS.maxConnections,
        },
      ),
    },
  });
  return server;
}

function serveNativePlugin(
  socketPath: string,
  ask: RpcServer["ask"],
): OtherProtocol {
  const calls = new NativeCalls({
    socketPath,
    connect: () => Promise.resolve(connectWithin(ask)),
    now: Date.now,
    uptimeMs: performance.now.bind(performance),
    randomId: () => crypto.randomUUID(),
  });
  return { start: NATIVE_CALL, accept: (socket) => void calls.serve(socket) };
}

function createMonitor(
  config: AgentConfig,
  options: AgentServerOptions,
): Monitor {
  const { agent, state, security, host, cluster, metrics, prober } = options;
  const { store } = state;
  const { credentials } = security;
  return new Monitor({
    metrics: () =>
      metrics.format({
        agent: async () => {
          const status = await agent.status();
          return {
            status,
            followedRevision: agent.member.view.revision,
            routes: host.controller.routes,
            nowMs: Date.now(),
            clusterChangedAtMs: agent.changedAtMs,
            events: agent.isHost ? await cluster.events.state() : undefined,
            cluster: cluster.counts(),
            forecasts: cluster.source.forecastsOf(status),
            lastBackupAtMs: await lastBackupMs(store),
            registryStore: agent.isHost
              ? typeof config.store === "object" ? "etcd" : "kv"
              : undefined,
            certificates: await readCertificates(config, { security, state }),
            probes: prober && { paths: prober.paths, counts: prober.counts },
            isRenewalFailing: credentials && credentials.renewalProblem !== "",
          };
        },
        process: readProcessStats,
      }),
    live: () => checkLive({ store }),
    ready: () =>
      checkReady({
        store,
        member: agent.member,
        link: agent.link,
        checkAddresses: () => agent.addresses.checkFree(agent.node),
        checkWrites: () => agent.checkWrites(),
      }),
  });
}

/** Traces calls where Deno exports spans (OTEL_DENO); elsewhere tracing costs nothing. */
async function findTracing(): Promise<Tracing | undefined> {
  // The runtime registers with the API; reading the variable would need a permission.
  if (!Object.hasOwn(globalThis, OTEL_API)) return undefined;
  const { createTracing } = await import("../api/server/otel_tracing.ts");
  return createTracing();
}

/** When the certificates that this agent depends on are valid. A file that cannot be read is left out. */
async function readCertificates(
  { store }: AgentConfig,
  { security, state }: Pick<AgentServerOptions, "security" | "state">,
): Promise<CertificateReading[]> {
  const { cert = "", ca = "" } = security.credentials?.material ?? {};
  const { own, authority } = readValidity({ cert, ca });
  const { certPath, caPath } = typeof store === "object" && store.tls || {};
  const storeCa = await readPem(caPath);
  // The member whose certificate expires first.
  const [etcd] = state.etcdCertificates()
    .map((cert) => readValidity({ cert, ca: storeCa }))
    .sort((a, b) => (a.own?.notAfterMs ?? 0) - (b.own?.notAfterMs ?? 0));
  const all: Record<CertificateReading["name"], Validity | undefined> = {
    node: own,
    authority,
    store: readValidity({ cert: await readPem(certPath) }).own,
    store_authority: etcd?.authority,
    etcd: etcd?.own,
  };
  return Object.entries(all).flatMap(([name, validity]) =>
    validity ? [{ name: name as CertificateReading["name"], ...validity }] : []
  );
}

/** The text of a file with certificates; empty where there is none. */
async function readPem(path: string | undefined): Promise<string> {
  if (path === undefined) return "";
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    if (error instanceof Deno.errors.PermissionDenied) return "";
    throw error;
  }
}
