import assert from "node:assert/strict";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Prometheus } from "../support/prometheus.ts";
import { clusterFlags, Lab, secureFlags } from "./lab.ts";
import type { LabHost } from "./lab_host.ts";
import { execArgs } from "./netns.ts";

/** Divisor for tests of faults: an hour becomes a second, and every fault is waited for twice. */
export const FAST = 3_600;
/** Divisor for tests in which no alert may fire: an outage of a second counts like one of five. */
export const STRICT = 5;
/** Length of a gap of scrapes, in ms: less than curl waits for an answer of Prometheus. */
export const GAP_MS = 8_000;

/** The address at which Prometheus scrapes a host's agent. */
export function scrapedAt({ address }: LabHost): string {
  return `${address}:9110`;
}

export interface WatchedLabOptions {
  /** Hosts with an agent. */
  readonly hosts: number;
  /** The durations of docs/alerts.yml are divided by this. */
  readonly divisor: number;
  /** Default: twice a second. */
  readonly scrapeMs?: number;
  /** Whether the hosts know each other by certificates. Default false. */
  readonly secure?: boolean;
  /** Called before the agents start. */
  readonly prepare?: (hosts: readonly LabHost[]) => Promise<void>;
}

export interface WatchedLab extends AsyncDisposable {
  readonly lab: Lab;
  /** The hosts with an agent. */
  readonly hosts: readonly LabHost[];
  readonly prometheus: Prometheus;
}

/** Collects the alerts that fire, until it is disposed of. */
export class AlertWatch implements AsyncDisposable {
  /** The summary of each, and when it fired first. */
  readonly #fired = new Map<string, string>();
  readonly #stop = new AbortController();
  readonly #watching: Promise<void>;

  /** @param work called again and again */
  constructor(
    prometheus: Prometheus,
    work: (turn: number) => Promise<unknown> = () => Promise.resolve(),
  ) {
    this.#watching = this.#watch(prometheus, work);
  }

  /** @throws {AssertionError} naming each alert that has fired with its instance, but for those that may */
  check(
    mayFire: (alert: string) => boolean = () => false,
    when = "here",
  ): void {
    const wrong = [...this.#fired].filter(([each]) =>
      !mayFire(each.split(" ")[0]!)
    ).map((parts) => parts.join(": "));
    assert.deepEqual(
      wrong,
      [],
      `no alert may fire ${when}: ${wrong.join("; ")}`,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#watching;
  }

  async #watch(
    prometheus: Prometheus,
    work: (turn: number) => Promise<unknown>,
  ): Promise<void> {
    for (let turn = 0; !this.#stop.signal.aborted; turn++) {
      await work(turn);
      // It may be restarting.
      const alerts = await prometheus.alerts().catch(() => []);
      for (const { name, instance, isFiring, summary } of alerts) {
        const key = `${name} ${instance}`;
        if (!isFiring || this.#fired.has(key)) continue;
        this.#fired.set(key, `${summary}, at ${new Date().toISOString()}`);
      }
      await delay(500);
    }
  }
}

/** Builds a lab whose last host runs Prometheus in place of an agent. */
export async function createWatchedLab(
  options: WatchedLabOptions,
): Promise<WatchedLab> {
  const { secure = false, divisor, scrapeMs } = options;
  const flagsOf = secure ? secureFlags : clusterFlags;
  const lab = await Lab.create({
    hosts: options.hosts + 1,
    agentFlags: (host) => [...flagsOf(host), "--metrics", scrapedAt(host)],
    startAgents: false,
    secure,
  });
  try {
    const hosts = lab.hosts.slice(0, -1);
    await options.prepare?.(hosts);
    for (const host of hosts) {
      if (secure && host !== hosts[0]) await lab.admit(host);
      await host.agent.start();
    }
    for (const host of hosts) await host.joined();
    const watcher = lab.hosts.at(-1)!;
    const prometheus = await Prometheus.start({
      dir: join(lab.dir, "prometheus"),
      divisor,
      ...scrapeMs !== undefined && { scrapeMs },
      targets: { "stellar-net": hosts.map(scrapedAt) },
      within: ["ip", ...execArgs(watcher.netns, [])],
    });
    return {
      ...{ lab, hosts, prometheus },
      async [Symbol.asyncDispose]() {
        await prometheus[Symbol.asyncDispose]();
        await lab[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await lab[Symbol.asyncDispose]();
    throw error;
  }
}
