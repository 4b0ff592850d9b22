import type { ServiceManager } from "../system/service_manager.ts";
import type { Agent } from "./agent.ts";
import { type Chore, startChore } from "../base/periodic.ts";
import { formatPrefix } from "../net/prefix.ts";

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
export function startServiceReport(options: ServiceReportOptions): Chore {
  const { manager, agent, node, probe } = options;
  return startChore("tell the service manager how the agent is doing", {
    intervalMs: manager.watchdogMs === undefined
      ? STATUS_INTERVAL_MS
      : manager.watchdogMs / 2,
    run: async () => {
      await probe();
      const status = formatStatus(node, agent.home);
      await manager.notify({ isAlive: true, status });
    },
  });
}

/** The state of a node in a line. */
export function formatStatus(
  node: string,
  { subnets, link }: Pick<Agent["home"], "subnets" | "link">,
): string {
  const owned = subnets.map(formatPrefix).join(", ") || "no subnet";
  return `Node ${node}: ${owned}; registry ${link.state}`;
}
