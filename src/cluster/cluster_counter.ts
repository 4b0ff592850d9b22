import type { Carve } from "../net/carve.ts";
import { type ClusterCounts, countHosts } from "./plan/cluster_counts.ts";
import {
  type HostView,
  type ListedSubnet,
  type NetworkUse,
  summarize,
} from "./plan/overview.ts";
import type { Reports } from "./reports.ts";

export interface ClusterCounterOptions {
  /** The nodes that this agent knows at the moment. */
  readonly nodes: () => Iterable<Pick<HostView, "name" | "state">>;
  readonly networks: () => readonly Carve[];
  readonly reports: Pick<Reports, "fresh">;
  /** The trend of the subnets of a network that are taken. */
  readonly forecast: (counted: {
    readonly subject: string;
    readonly count: number;
    readonly capacity: number;
  }) => Pick<NetworkUse, "perDay" | "fullAtMs"> | undefined;
}

/**
 * Counts the cluster for metrics, from memory alone: a scrape waits neither for
 * the registry's store nor for other hosts.
 */
export class ClusterCounter {
  readonly #options: ClusterCounterOptions;
  #subnets: readonly ListedSubnet[] | undefined;

  constructor(options: ClusterCounterOptions) {
    this.#options = options;
  }

  /** Takes the registry's list of subnets, as it was read last. */
  listed(subnets: readonly ListedSubnet[]): void {
    this.#subnets = subnets;
  }

  /**
   * Counts what is known at present; undefined before any node is. A report that
   * no heartbeat confirms any more does not count.
   */
  count(): ClusterCounts | undefined {
    const { nodes, networks, reports, forecast } = this.#options;
    const hosts = [...nodes()].map(({ name, state }) => ({
      ...{ name, state },
      report: reports.fresh(name)?.report,
    }));
    if (hosts.length === 0) return undefined;
    const subnets = this.#subnets;
    return countHosts(
      hosts,
      summarize(hosts, {
        networks: subnets ? networks() : [],
        subnets: subnets ?? [],
        forecast,
      }),
    );
  }
}
