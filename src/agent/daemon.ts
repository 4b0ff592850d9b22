import { getLogger } from "@logtape/logtape";
import type { LocalPrefix } from "../cluster/state.ts";
import { NetError } from "../error.ts";
import type { Agent } from "./agent.ts";
import { startChore } from "./chore.ts";
import type { AgentConfig, ListenAddress } from "./config.ts";

const PRUNE_INTERVAL_MS = 3_600_000;
const QUEUE_INTERVAL_MS = 5_000;
const LIVENESS_INTERVAL_MS = 1_000;
const GRACE_MS = 10_000;

const log = getLogger(["stellar-net", "agent"]);

/** Serves an agent's API. */
export interface ApiServer {
  /** Serves on a TCP address, and returns it with the port that was taken. */
  listenTcp(address: ListenAddress): Promise<ListenAddress>;
  /** Serves on a unix socket, mode 0600. */
  listenUnix(path: string): Promise<void>;
  /** Finishes what is under way, at most `graceMs` long. */
  close(options: { readonly graceMs: number }): Promise<void>;
}

/** What a daemon works with. */
export interface DaemonOptions {
  readonly config: AgentConfig;
  readonly agent: Agent;
  readonly server: ApiServer;
  /** Reads which prefixes this host uses itself. */
  readonly readHostPrefixes: () => Promise<readonly LocalPrefix[]>;
  /** Ends the daemon. */
  readonly stop: AbortSignal;
  /** Called once everything is served, with where. */
  readonly onReady: (listeners: readonly string[]) => void;
  /** Takes what an operator should know. */
  readonly warn: (message: string) => void;
}

/** Runs an agent until it is told to stop, and finishes what is under way. */
export async function runDaemon(options: DaemonOptions): Promise<void> {
  const { config, agent, server, stop } = options;
  await reportPrefixes(options);
  // Before anything is allocated: a queued release is older than what comes.
  await agent.applyQueue();
  const chores = [
    startChore("apply queued releases", {
      intervalMs: QUEUE_INTERVAL_MS,
      run: () => agent.applyQueue(),
    }),
    startChore("look for leaked addresses", {
      intervalMs: config.leakIntervalMs,
      run: () => agent.collectLeaks(),
    }),
    startChore("look which nodes are alive", {
      intervalMs: LIVENESS_INTERVAL_MS,
      run: () => agent.membership.look(undefined),
    }),
    startChore("remove old history", {
      intervalMs: PRUNE_INTERVAL_MS,
      run: () => agent.pruneHistory(),
    }),
  ];
  try {
    const listeners = await listen(server, config);
    log.info("Serving on {listeners}", { listeners: listeners.join(" and ") });
    for (const address of listeners.slice(1).filter((l) => !isLocal(l))) {
      const warning =
        `anyone who reaches ${address} can use it: it is plain text, and nobody is asked who they are`;
      log.warn("{warning}", { warning });
      options.warn(warning);
    }
    options.onReady(listeners);
    await aborted(stop);
    log.info("Stopping: finishing what is under way");
  } finally {
    await Promise.all(chores.map((chore) => chore.stop()));
    await server.close({ graceMs: GRACE_MS });
  }
}

async function listen(
  server: ApiServer,
  config: AgentConfig,
): Promise<string[]> {
  await server.listenUnix(config.socketPath);
  const listeners = [config.socketPath];
  for (const address of config.listen) {
    const { hostname, port } = await server.listenTcp(address);
    listeners.push(
      hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`,
    );
  }
  return listeners;
}

async function reportPrefixes(options: DaemonOptions): Promise<void> {
  const { agent, readHostPrefixes, warn } = options;
  let prefixes: readonly LocalPrefix[];
  try {
    prefixes = await readHostPrefixes();
  } catch (error) {
    if (!(error instanceof NetError)) throw error;
    log.warn("Cannot see what this host uses itself: {error}", { error });
    warn(
      `${error.message}; subnets that this host uses itself may be handed out: install iproute2`,
    );
    return;
  }
  await agent.reportPrefixes(prefixes);
}

/** Whether only this host reaches an address with a port. */
function isLocal(listener: string): boolean {
  return listener.startsWith("127.") || listener.startsWith("[::1]:");
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
