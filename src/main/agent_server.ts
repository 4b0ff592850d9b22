import type { Agent } from "../agent/agent.ts";
import { readState } from "../backup/take.ts";
import type { AgentConfig } from "../config/config.ts";
import { checkLive, checkReady } from "../agent/status.ts";
import { findGroup } from "../system/groups.ts";
import { readKernelFile } from "../system/files.ts";
import type { LogRing } from "../system/log_ring.ts";
import {
  connectionsPerListener,
  readProcessStats,
} from "../system/process_stats.ts";
import type { Metrics } from "../metrics/metrics.ts";
import { DEFAULT_LIMITS } from "../api/limits/limits.ts";
import { Monitor } from "../api/server/monitor.ts";
import { createRoutes } from "../api/services/router.ts";
import { createRpcServer, type RpcServer } from "../api/server/server.ts";
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
  readonly metrics: Metrics;
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
  const { agent, state, security, host, metrics, logRing } = options;
  const { store, audit } = state;
  const { credentials } = security;
  const routes = createRoutes({
    ...host,
    agent,
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
      readState: () =>
        readState(store, {
          holdCluster: (run) => agent.host?.hold(run) ?? run(),
        }),
      now: Date.now,
    },
  });
  const { socketGroup, listen, metrics: monitored } = config;
  return createRpcServer({
    routes,
    tls: credentials,
    metrics: metrics.calls,
    tracing: await findTracing(),
    monitor: createMonitor(options),
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
}

function createMonitor(
  { agent, state, host, metrics }: AgentServerOptions,
): Monitor {
  const { store } = state;
  return new Monitor({
    metrics: () =>
      metrics.format({
        agent: async () => ({
          status: await agent.status(),
          followedRevision: agent.member.view.revision,
          routes: host.controller.routes,
        }),
        process: readProcessStats,
      }),
    live: () => checkLive({ store }),
    ready: () => checkReady({ store, member: agent.member }),
  });
}

/** Traces calls where Deno exports spans (OTEL_DENO); elsewhere tracing costs nothing. */
async function findTracing(): Promise<Tracing | undefined> {
  // The runtime registers with the API; reading the variable would need a permission.
  if (!Object.hasOwn(globalThis, OTEL_API)) return undefined;
  const { createTracing } = await import("../api/server/otel_tracing.ts");
  return createTracing();
}
