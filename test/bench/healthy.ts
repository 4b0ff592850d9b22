import { setTimeout as delay } from "node:timers/promises";
import { createWatchedLab } from "../lab/watched_lab.ts";
import type { BenchOptions, BenchReport } from "./report.ts";

const HOSTS = 3;
const DEFAULT_MINUTES = 60;
const QUICK_MINUTES = 0.2;
/** Prometheus' usual interval, in ms. */
const SCRAPE_MS = 15_000;
const QUICK_SCRAPE_MS = 1_000;
/** Interval of containers that come and go, in ms. */
const WORK_INTERVAL_MS = 5_000;

/**
 * Runs a healthy cluster under Prometheus with the rules of docs/alerts.yml
 * unchanged. The process ends with 1 when an alert fires.
 */
export async function benchHealthy(
  { quick, minutes = quick ? QUICK_MINUTES : DEFAULT_MINUTES }: BenchOptions,
): Promise<readonly BenchReport[]> {
  await using watched = await createWatchedLab({
    ...{ hosts: HOSTS, divisor: 1, secure: true },
    scrapeMs: quick ? QUICK_SCRAPE_MS : SCRAPE_MS,
  });
  const { prometheus, hosts } = watched;
  const fired = new Set<string>();
  const pending = new Set<string>();
  const untilMs = performance.now() + minutes * 60_000;
  const failures: string[] = [];
  let containers = 0;
  while (performance.now() < untilMs) {
    const host = hosts[containers % hosts.length]!;
    const label = `c${containers++}`;
    try {
      await host.addContainer(label);
      await delay(WORK_INTERVAL_MS);
      await host.removeContainer(label);
    } catch (error) {
      failures.push(`${label}: ${error}`);
    }
    for (const { name, instance, isFiring } of await prometheus.alerts()) {
      (isFiring ? fired : pending).add(`${name} ${instance}`);
    }
  }
  const [scrapes] = await prometheus.query(
    `sum(count_over_time(up[${Math.ceil(minutes * 60)}s]))`,
  );
  const [missed] = await prometheus.query(
    `sum(count_over_time((up == 0)[${
      Math.ceil(minutes * 60)
    }s:1s])) or vector(0)`,
  );
  if (fired.size + failures.length > 0) Deno.exitCode = 1;
  return [{
    title: `healthy: ${minutes} min, ${HOSTS} hosts`,
    columns: ["", "number", "allowed"],
    rows: [
      ["alerts that fired", `${fired.size}`, "0"],
      ["alerts that were pending", `${pending.size}`, ""],
      ["scrapes", `${scrapes?.value ?? 0}`, ""],
      ["seconds without an answer to a scrape", `${missed?.value ?? 0}`, ""],
      ["containers", `${containers}`, ""],
      ["containers that failed", `${failures.length}`, "0"],
    ],
    notes: [
      ...[...fired].map((alert) => `fired: ${alert}`),
      ...[...pending].map((alert) => `pending: ${alert}`),
      ...failures.slice(0, 5),
    ],
  }];
}
