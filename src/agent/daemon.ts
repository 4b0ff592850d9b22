import { getLogger } from "@logtape/logtape";
import { type PeriodicTask, startPeriodicTask } from "../base/periodic_task.ts";
import type { AgentConfig, ListenAddress } from "../config/config.ts";
import type { HostController } from "../host/controller.ts";
import { isSecure } from "../host/facts.ts";
import { isLoopback } from "../net/host.ts";
import { formatPrefix } from "../net/prefix.ts";
import type { ServiceManager } from "../system/service_manager.ts";
import type { Agent } from "./agent.ts";

/** How often the line for people is brought up to date where no watchdog waits, in ms. */
const STATUS_INTERVAL_MS = 10_000;

/** What the service manager is told of. */
export interface ServiceReportOptions {
  readonly manager: ServiceManager;
  readonly agent: Agent;
  readonly node: string;
  /** Asks the store for anything. @throws when it does not answer */
  readonly probe: () => Promise<unknown>;
}

/**
 * Tells the service manager now and then how the agent is doing. It hears that
 * all is well at half of the time that it waits, as long as the event loop goes
 * round and the store answers.
 */
export function startServiceReport(
  options: ServiceReportOptions,
): PeriodicTask {
  const { manager, agent, node, probe } = options;
  return startPeriodicTask("tell the service manager how the agent is doing", {
    intervalMs: manager.watchdogMs === undefined
      ? STATUS_INTERVAL_MS
      : manager.watchdogMs / 2,
    run: async () => {
      await probe();
      const status = formatStatus(node, agent.member);
      await manager.notify({ isAlive: true, status });
    },
  });
}

/** The state of a node in a line. */
export function formatStatus(
  node: string,
  { subnets, link }: Pick<Agent["member"], "subnets" | "link">,
): string {
  const owned = subnets.map(formatPrefix).join(", ") || "no subnet";
  return `Node ${node}: ${owned}; registry ${link.state}`;
}

const PRUNE_INTERVAL_MS = 3_600_000;
const MIN_PRUNE_INTERVAL_MS = 1_000;
const QUEUE_INTERVAL_MS = 5_000;
const LIVENESS_INTERVAL_MS = 1_000;
const GRACE_MS = 10_000;

const log = getLogger(["stellar-net", "agent"]);

/** How a TCP address is served. */
export interface ListenTcpOptions {
  /** Whether over TLS, and to clients with a certificate alone. */
  readonly isSecure: boolean;
}

/** Serves an agent's API. */
export interface ApiServer {
  /** Serves on a TCP address, and returns it with the port that was taken. */
  listenTcp(
    address: ListenAddress,
    options: ListenTcpOptions,
  ): Promise<ListenAddress>;
  /** Serves metrics and health alone on a TCP address, which it returns as `listenTcp` does. */
  listenMetrics(address: ListenAddress): Promise<ListenAddress>;
  /** Serves on a unix socket, mode 0600. */
  listenUnix(path: string): Promise<void>;
  /** Finishes what is under way, at most `graceMs` long. */
  close(options: { readonly graceMs: number }): Promise<void>;
}

/** What a daemon works with. */
export interface DaemonOptions {
  readonly config: AgentConfig;
  readonly agent: Agent;
  readonly controller: HostController;
  readonly server: ApiServer;
  /** Ends the daemon. */
  readonly stop: AbortSignal;
  /** Called once everything is served, with where. */
  readonly onReady: (listeners: readonly string[]) => void;
  /** Takes what an operator should know. */
  readonly warn: (message: string) => void;
  /** Who has started this process, and how to see that all is well. */
  readonly service: Pick<ServiceReportOptions, "manager" | "probe">;
}

/** Runs an agent until it is told to stop, and finishes what is under way. */
export async function runDaemon(options: DaemonOptions): Promise<void> {
  const { config, agent, controller, server, stop } = options;
  await controller.load();
  // Before any subnet is handed out: those that this host uses itself are not.
  await controller.report(config.listen.filter(({ port }) => port !== 0));
  if (isPartOfCluster(options)) await claim(agent);
  // Before anything is allocated: a queued release is older than what comes.
  await agent.applyQueue();
  const tasks = [
    startPeriodicTask("apply queued releases", {
      intervalMs: QUEUE_INTERVAL_MS,
      run: () => agent.applyQueue(),
    }),
    startPeriodicTask("look for leaked addresses", {
      intervalMs: config.leakIntervalMs,
      run: () => agent.collectLeaks(),
    }),
    startPeriodicTask("look which nodes are alive", {
      intervalMs: LIVENESS_INTERVAL_MS,
      run: async () => await agent.host?.checkLiveness(config.reclaimAfterMs),
    }),
    startPeriodicTask("remove old history", {
      // Of a short history there is never more than twice as much.
      intervalMs: Math.min(
        Math.max(config.keepHistoryMs, MIN_PRUNE_INTERVAL_MS),
        PRUNE_INTERVAL_MS,
      ),
      run: () => agent.pruneHistory(),
    }),
  ];
  try {
    const bound = await listen(server, config);
    const addresses = bound.map(formatListener);
    const listeners = [config.socketPath, ...addresses];
    log.info("Serving on {listeners}", { listeners: listeners.join(" and ") });
    for (const { hostname, port } of bound) {
      if (isLoopback(hostname) || isSecure(config, hostname)) continue;
      const address = formatListener({ hostname, port });
      const warning =
        `--insecure: anyone who reaches ${address} can read, use and change this cluster: it is plain text, and nobody is asked who they are`;
      log.warn("{warning}", { warning });
      options.warn(warning);
    }
    options.onReady(listeners);
    const { manager } = options.service;
    const status = formatStatus(config.node, agent.member);
    await manager.notify({ state: "ready", status });
    tasks.push(
      startServiceReport({ ...options.service, agent, node: config.node }),
    );
    await controller.report(bound);
    agent.follow(() => controller.update());
    controller.start();
    await aborted(stop);
    log.info("Stopping: finishing what is under way");
    await manager.notify({ state: "stopping" });
  } finally {
    await controller.stop();
    await agent.stop();
    await Promise.all(tasks.map((task) => task.stop()));
    await server.close({ graceMs: GRACE_MS });
  }
}

/**
 * Whether a node that hosts the registry is there for containers too, and has
 * its subnet from the start. Otherwise it may only be asked over the API, and
 * the first subnet is for the first node that asks.
 */
function isPartOfCluster(
  { config, agent, controller }: DaemonOptions,
): boolean {
  return agent.host !== undefined &&
    (controller.mayConfigure || controller.routes.mode !== "off" ||
      config.advertise.length > 0 ||
      config.listen.some(({ hostname }) => !isLoopback(hostname)));
}

/** Claims this node's subnets. Where none is left the registry is hosted all the same. */
async function claim(agent: Agent): Promise<void> {
  try {
    await agent.member.claim();
  } catch (error) {
    log.error("Cannot claim a subnet for this node: {error}", { error });
  }
}

async function listen(
  server: ApiServer,
  config: AgentConfig,
): Promise<ListenAddress[]> {
  await server.listenUnix(config.socketPath);
  const bound: ListenAddress[] = [];
  for (const address of config.listen) {
    bound.push(
      await server.listenTcp(address, {
        isSecure: isSecure(config, address.hostname),
      }),
    );
  }
  for (const address of config.metrics) {
    const at = await server.listenMetrics(address);
    log.info("Serving metrics on {listener}", { listener: formatListener(at) });
  }
  return bound;
}

function formatListener({ hostname, port }: ListenAddress): string {
  return hostname.includes(":")
    ? `[${hostname}]:${port}`
    : `${hostname}:${port}`;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
