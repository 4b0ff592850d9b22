import { getLogger } from "@logtape/logtape";
import { NetError } from "../base/error.ts";
import { type PeriodicTask, startPeriodicTask } from "../base/periodic_task.ts";
import {
  type AgentConfig,
  type ListenAddress,
  speaksPlainText,
} from "../config/config.ts";
import type { HostController } from "../host/controller.ts";
import { isSecure } from "../host/facts.ts";
import { isLoopback } from "../net/address.ts";
import { EXPIRY_INTERVAL_MS } from "../addresses/keep_alives.ts";
import { formatPrefix } from "../net/prefix.ts";
import type { ServiceManager } from "../system/service_manager.ts";
import type { Agent } from "./agent.ts";

/** Interval between updates of the status line without a watchdog, in ms. */
const STATUS_INTERVAL_MS = 10_000;

/** Options of {@linkcode startServiceReport}. */
export interface ServiceReportOptions {
  readonly manager: ServiceManager;
  readonly agent: Agent;
  readonly node: string;
  /** Reads from the store. @throws when it does not answer */
  readonly probe: () => Promise<unknown>;
}

/**
 * Reports the agent's status to the service manager: at half of the watchdog's
 * timeout, as long as the event loop runs and the store answers.
 */
export function startServiceReport(
  options: ServiceReportOptions,
): PeriodicTask {
  const { manager, agent, node, probe } = options;
  return startPeriodicTask("report the status to the service manager", {
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

/** The status of a node in one line. */
export function formatStatus(
  node: string,
  { subnets, link }: Pick<Agent["member"], "subnets" | "link">,
): string {
  const owned = subnets.map(formatPrefix).join(", ") || "no subnet";
  return `Node ${node}: ${owned}; registry ${link.state}`;
}

const MAX_PRUNE_INTERVAL_MS = 3_600_000;
const MIN_PRUNE_INTERVAL_MS = 1_000;
const QUEUE_INTERVAL_MS = 5_000;
/** Interval between looks for expired allocations of nodes without an agent, in ms. */
const OTHERS_EXPIRY_INTERVAL_MS = 10_000;
/** Interval between checks that nobody has removed the socket's file, in ms. */
const SOCKET_INTERVAL_MS = 5_000;
/** Time to the next attempt to listen on an address that this host does not have yet. */
const LISTEN_RETRY_MS = 500;
const GRACE_MS = 10_000;

const log = getLogger(["stellar-net", "agent"]);

/** Options of {@linkcode ApiServer.listenTcp}. */
export interface ListenTcpOptions {
  /** Whether to serve TLS, and over TLS only clients with a certificate. */
  readonly isSecure: boolean;
  /** Whether to serve other hosts in plain text, besides TLS or instead of it. Default false. */
  readonly acceptsOthers?: boolean;
}

/** The server of an agent's API. */
export interface ApiServer {
  /** Serves on a TCP address, and returns it with the port in use. */
  listenTcp(
    address: ListenAddress,
    options: ListenTcpOptions,
  ): Promise<ListenAddress>;
  /** Serves only metrics and health on a TCP address, and returns it as `listenTcp` does. */
  listenMetrics(address: ListenAddress): Promise<ListenAddress>;
  /** Serves on a unix socket, mode 0600. */
  listenUnix(path: string): Promise<void>;
  /**
   * Makes the files of unix sockets again after a removal.
   *
   * @returns whether there were any
   */
  restoreSockets(): Promise<boolean>;
  /** Finishes calls in flight, for at most `graceMs`. */
  close(options: { readonly graceMs: number }): Promise<void>;
}

/** Options of {@linkcode runDaemon}. */
export interface DaemonOptions {
  readonly config: AgentConfig;
  readonly agent: Agent;
  readonly controller: HostController;
  readonly server: ApiServer;
  /** Ends the daemon. */
  readonly stop: AbortSignal;
  /** Called with each listener of the API, also with those whose address comes after the start. */
  readonly onListening: (listener: string) => void;
  /** Called with the listeners once all that can serve do. */
  readonly onReady: (listeners: readonly string[]) => Promise<void>;
  /** Called when the socket's file was gone and is there again. */
  readonly onSocketRestored: () => void;
  /** Shows a warning to the operator. */
  readonly warn: (message: string) => void;
  /** The service manager, and the probe of the store. */
  readonly service: Pick<ServiceReportOptions, "manager" | "probe">;
}

/** Runs an agent until its signal, then finishes calls in flight. */
export async function runDaemon(options: DaemonOptions): Promise<void> {
  const { config, agent, controller, server, stop } = options;
  await controller.load();
  // Before any subnet is handed out, so that none overlaps a prefix of this host.
  await controller.report(config.listen.filter(({ port }) => port !== 0));
  if (isPartOfCluster(options)) await claim(agent);
  // Before any allocation, since a queued release is older.
  await agent.addresses.applyQueue();
  const tasks = [
    startPeriodicTask("apply queued releases", {
      intervalMs: QUEUE_INTERVAL_MS,
      run: () => agent.addresses.applyQueue(),
    }),
    startPeriodicTask("collect leaked addresses", {
      intervalMs: config.leakIntervalMs,
      run: () => agent.addresses.collectLeaks(),
    }),
    startPeriodicTask(
      "release what was not kept alive on nodes without an agent",
      {
        intervalMs: OTHERS_EXPIRY_INTERVAL_MS,
        run: () => agent.addresses.expire("others"),
      },
    ),
    // One task: every wake-up costs an idle agent more than the work itself.
    startPeriodicTask("check which nodes and allocations are alive", {
      intervalMs: EXPIRY_INTERVAL_MS,
      run: () =>
        Promise.all([
          agent.host?.checkLiveness(config.reclaimAfterMs),
          agent.addresses.expire("own"),
        ]),
    }),
    startPeriodicTask("remove old history", {
      intervalMs: pruneIntervalMs(config.keepHistoryMs),
      run: () => agent.addresses.pruneHistory(),
    }),
  ];
  try {
    const { bound, waiting } = await listen(server, config);
    const addresses = bound.map(formatListener);
    const listeners = [config.socketPath, ...addresses];
    log.info("Serving on {listeners}", { listeners: listeners.join(" and ") });
    options.onListening(config.socketPath);
    for (const address of bound) announce(address, options);
    for (const { warning } of waiting) {
      log.warn("{warning}", { warning });
    }
    await options.onReady(listeners);
    const { manager } = options.service;
    const status = formatStatus(config.node, agent.member);
    await manager.notify({ state: "ready", status });
    tasks.push(
      startServiceReport({ ...options.service, agent, node: config.node }),
      startPeriodicTask("keep the socket's file", {
        intervalMs: SOCKET_INTERVAL_MS,
        run: async () => {
          if (await server.restoreSockets()) options.onSocketRestored();
        },
      }),
    );
    await controller.report([
      ...bound,
      ...waiting.flatMap(({ listen }) => listen ?? []),
    ]);
    if (waiting.length > 0) {
      tasks.push(startPeriodicTask("listen on addresses that this host gets", {
        intervalMs: LISTEN_RETRY_MS,
        run: () => retryListening(waiting, options),
      }));
    }
    agent.follow(controller.update.bind(controller));
    controller.start();
    await aborted(stop);
    log.info("Stopping: finishing calls in flight");
    await manager.notify({ state: "stopping" });
  } finally {
    await controller.stop();
    await agent.stop();
    await Promise.all(tasks.map((task) => task.stop()));
    await server.close({ graceMs: GRACE_MS });
  }
}

/** Interval between two prunings, so that a short history never grows to more than twice its length. */
export function pruneIntervalMs(keepHistoryMs: number): number {
  return Math.min(
    Math.max(keepHistoryMs, MIN_PRUNE_INTERVAL_MS),
    MAX_PRUNE_INTERVAL_MS,
  );
}

/**
 * Whether the registry's host also runs containers, and claims its subnet at the
 * start. Otherwise it may serve only the API, and the first subnet is for the
 * first node that asks.
 */
function isPartOfCluster(
  { config, agent, controller }: DaemonOptions,
): boolean {
  return agent.host !== undefined &&
    (controller.mayConfigure || controller.routes.mode !== "off" ||
      config.advertise.length > 0 ||
      config.listen.some(({ hostname }) => !isLoopback(hostname)));
}

/**
 * Claims this node's subnets. The agent hosts the registry even if none is left.
 * Where the claim has to wait for nodes to come back, the start goes on: they
 * have to reach this agent.
 */
async function claim(agent: Agent): Promise<void> {
  const claiming = agent.member.claim().catch((error) =>
    log.error("Cannot claim a subnet for this node: {error}", { error })
  );
  const isAtOnce = await agent.member.checkClaim()
    .then(() => true, () => false);
  if (isAtOnce) await claiming;
}

/** A listener whose address no interface of this host has yet. */
interface WaitingListener {
  readonly start: () => Promise<ListenAddress>;
  readonly warning: string;
  /** The address, if it serves the API. */
  readonly listen?: ListenAddress;
}

async function listen(
  server: ApiServer,
  config: AgentConfig,
): Promise<{
  readonly bound: readonly ListenAddress[];
  readonly waiting: WaitingListener[];
}> {
  await server.listenUnix(config.socketPath);
  const bound: ListenAddress[] = [];
  const waiting: WaitingListener[] = [];
  const tryToListen = async (
    flag: string,
    address: ListenAddress,
    start: () => Promise<ListenAddress>,
  ): Promise<ListenAddress | undefined> => {
    try {
      return await start();
    } catch (error) {
      if (!(error instanceof NetError) || error.code !== "unavailable") {
        throw error;
      }
      waiting.push({
        start: async () => {
          const at = await start();
          log.info("Serving on {listener}", { listener: formatListener(at) });
          return at;
        },
        warning:
          `--${flag}: no interface of this host has ${address.hostname} yet; the agent listens on ${
            formatListener(address)
          } when one has`,
        ...flag === "listen" && { listen: address },
      });
      return undefined;
    }
  };
  for (const address of config.listen) {
    const at = await tryToListen(
      "listen",
      address,
      () =>
        server.listenTcp(address, {
          isSecure: isSecure(config, address.hostname),
          acceptsOthers: speaksPlainText(config.security),
        }),
    );
    if (at) bound.push(at);
  }
  for (const address of config.metrics) {
    const at = await tryToListen(
      "metrics",
      address,
      () => server.listenMetrics(address),
    );
    if (!at) continue;
    log.info("Serving metrics on {listener}", { listener: formatListener(at) });
  }
  return { bound, waiting };
}

/** Starts the listeners whose addresses this host has by now, and removes them from the list. */
async function retryListening(
  waiting: WaitingListener[],
  options: DaemonOptions,
): Promise<void> {
  for (const listener of [...waiting]) {
    try {
      const at = await listener.start();
      waiting.splice(waiting.indexOf(listener), 1);
      if (listener.listen) announce(at, options);
    } catch (error) {
      if (!(error instanceof NetError) || error.code !== "unavailable") {
        throw error;
      }
    }
  }
}

/** Tells of a listener of the API, and warns if other hosts may use it in plain text. */
function announce(
  { hostname, port }: ListenAddress,
  { config, onListening, warn }: DaemonOptions,
): void {
  const address = formatListener({ hostname, port });
  onListening(address);
  if (isLoopback(hostname) || !speaksPlainText(config.security)) return;
  const flag = isSecure(config, hostname) ? "--accept-insecure" : "--insecure";
  const warning =
    `${flag}: anyone who reaches ${address} can read, use and change this cluster: it is plain text, without authentication`;
  log.warn("{warning}", { warning });
  warn(warning);
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
