import assert from "node:assert/strict";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { ROOT } from "../generate.ts";
import { freePort } from "./free_port.ts";
import { run } from "./run.ts";
import { waitFor, type WaitOptions } from "./wait_for.ts";

export interface PrometheusOptions {
  /** Folder for its files. */
  readonly dir: string;
  /** What it scrapes, `host:port`, by job. */
  readonly targets: Readonly<Record<string, readonly string[]>>;
  /** What the durations of docs/alerts.yml are divided by. */
  readonly divisor: number;
  /** Interval of scrapes and evaluations, in ms. Default: 500. */
  readonly scrapeMs?: number;
  /** A command that runs the one behind it, such as `["ip", "netns", "exec", "x"]`. */
  readonly within?: readonly string[];
}

/** An alert that is active. */
export interface ActiveAlert {
  readonly name: string;
  readonly instance: string;
  readonly isFiring: boolean;
  /** What it tells the person on call. */
  readonly summary: string;
}

/** A sample of an instant query. */
export interface QuerySample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const SCRAPE_MS = 500;
/** Fewer samples than this make no rate. */
const MIN_RANGE_S = 8;
/**
 * What ranges are divided by at most, by unit: what is counted in them takes
 * its time. Five starts of an agent take more than a minute on a busy machine.
 */
const MAX_RANGE_DIVISOR = { s: 60, m: 60, h: 40 };
const UNIT_S = { s: 1, m: 60, h: 3600, d: 86_400 };

/**
 * The rules of docs/alerts.yml, with every duration divided: those behind `for`
 * to a second at least, ranges to eight, and by no more than 60 (hours: 40); days by ten
 * times as much. A day and more, by which series are
 * remembered, stays.
 */
export function shortenRules(rules: string, divisor: number): string {
  const seconds = (count: string, unit: string) =>
    Number(count) * UNIT_S[unit as keyof typeof UNIT_S];
  return rules
    .replaceAll(/^( +for: )(\d+)([smhd])$/gm, (_, key, count, unit) => {
      const short = Math.max(1, seconds(count, unit) / divisor);
      return `${key}${Math.ceil(short)}s`;
    })
    .replaceAll(/\[(\d+)([smh])\]/g, (_, count, unit) => {
      const most = MAX_RANGE_DIVISOR[unit as keyof typeof MAX_RANGE_DIVISOR];
      const by = Math.min(divisor, most);
      const short = Math.max(MIN_RANGE_S, seconds(count, unit) / by);
      return `[${Math.ceil(short)}s]`;
    })
    .replaceAll(
      /(\d+) \* 86400/g,
      (_, days) => String(Number(days) * 86_400 / divisor / 10),
    );
}

/** Debian's Prometheus with the alerts of docs/alerts.yml. Disposing of it ends it. */
export class Prometheus implements AsyncDisposable {
  readonly #spawn: () => Deno.ChildProcess;
  readonly #url: string;
  readonly #within: readonly string[];
  readonly #targets: number;
  #child: Deno.ChildProcess;

  private constructor(
    spawn: () => Deno.ChildProcess,
    { url, within, targets }: {
      readonly url: string;
      readonly within: readonly string[];
      readonly targets: number;
    },
  ) {
    this.#spawn = spawn;
    this.#child = spawn();
    this.#url = url;
    this.#within = within;
    this.#targets = targets;
  }

  /** Starts it, and waits until it has scraped every target. */
  static async start(options: PrometheusOptions): Promise<Prometheus> {
    const { dir, targets, divisor, within = [] } = options;
    const { scrapeMs = SCRAPE_MS } = options;
    const rules = await Deno.readTextFile(join(ROOT, "docs/alerts.yml"));
    await Deno.mkdir(dir, { recursive: true });
    await Deno.writeTextFile(
      join(dir, "rules.yml"),
      shortenRules(rules, divisor),
    );
    // JSON is YAML.
    const config = {
      global: {
        scrape_interval: `${scrapeMs}ms`,
        scrape_timeout: `${Math.min(scrapeMs, 10_000)}ms`,
        evaluation_interval: `${scrapeMs}ms`,
      },
      rule_files: [join(dir, "rules.yml")],
      scrape_configs: Object.entries(targets).map(([job, targets]) => ({
        job_name: job,
        static_configs: [{ targets }],
      })),
    };
    const path = join(dir, "prometheus.yml");
    await Deno.writeTextFile(path, JSON.stringify(config));
    const address = `127.0.0.1:${freePort()}`;
    const [program, ...args] = [
      ...within,
      "prometheus",
      `--config.file=${path}`,
      `--storage.tsdb.path=${join(dir, "data")}`,
      `--web.listen-address=${address}`,
      "--log.level=error",
    ];
    const command = new Deno.Command(program!, {
      args,
      stdin: "null",
      stdout: "null",
      stderr: "inherit",
    });
    const prometheus = new Prometheus(() => command.spawn(), {
      url: `http://${address}`,
      within,
      targets: Object.values(targets).flat().length,
    });
    try {
      await prometheus.#scraped();
      return prometheus;
    } catch (error) {
      await prometheus[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Evaluates a query now. */
  async query(query: string): Promise<QuerySample[]> {
    const { result } = await this.#get<{
      readonly result: readonly {
        readonly metric: Readonly<Record<string, string>>;
        readonly value: readonly [number, string];
      }[];
    }>(`query?query=${encodeURIComponent(query)}`);
    return result.map(({ metric, value: [, value] }) => ({
      labels: metric,
      value: Number(value),
    }));
  }

  /** The alerts that are pending or fire. */
  async alerts(): Promise<ActiveAlert[]> {
    const { alerts } = await this.#get<{
      readonly alerts: readonly {
        readonly labels: Readonly<Record<string, string>>;
        readonly annotations: Readonly<Record<string, string>>;
        readonly state: string;
      }[];
    }>("alerts");
    return alerts.map(({ labels, annotations, state }) => ({
      summary: annotations.summary ?? "",
      name: labels.alertname!,
      instance: labels.instance ?? "",
      isFiring: state === "firing",
    }));
  }

  /** Waits until an alert fires for an instance, or fires no longer. */
  async waitForAlert(
    name: string,
    { instance, fires = true, ...options }: WaitOptions & {
      readonly instance: string;
      readonly fires?: boolean;
    },
  ): Promise<void> {
    const what = `${name} of ${instance} to ${fires ? "fire" : "clear"}`;
    try {
      await waitFor(what, async () => {
        const alerts = await this.alerts();
        const has = alerts.some((alert) =>
          alert.isFiring && alert.name === name && alert.instance === instance
        );
        return has === fires;
      }, { everyMs: 250, ...options });
    } catch (cause) {
      throw new Error(`Cannot see ${what}: ${await this.#situation()}`, {
        cause,
      });
    }
  }

  /** What Prometheus has seen of late, for the message of a failure. */
  async #situation(): Promise<string> {
    try {
      const alerts = await this.alerts();
      const scrapes = await this.query("avg_over_time(up[1m])");
      return [
        ...alerts.map(({ name, instance, isFiring, summary }) =>
          `${name} of ${instance} ${
            isFiring ? "fires" : "is pending"
          }: ${summary}`
        ),
        ...scrapes.map(({ labels, value }) =>
          `${
            (value * 100).toFixed(0)
          } % of the scrapes of ${labels.instance} in a minute were answered`
        ),
      ].join("; ");
    } catch (error) {
      return `Prometheus does not say: ${error}`;
    }
  }

  /** Waits until no alert fires but those that may. */
  async waitForQuiet(mayFire: readonly string[] = []): Promise<void> {
    let firing = "";
    try {
      await waitFor("alerts to clear", async () => {
        const alerts = (await this.alerts()).filter((each) =>
          each.isFiring && !mayFire.includes(each.name)
        );
        firing = alerts.map(({ name, instance }) => `${name} ${instance}`)
          .join(", ");
        return alerts.length === 0;
      }, { everyMs: 250 });
    } catch (cause) {
      throw new Error(
        `Alerts do not clear: ${firing}: ${await this.#situation()}`,
        { cause },
      );
    }
  }

  /** Stops it for a while, so that nothing is scraped, and waits until it scrapes all targets again. */
  async pause(ms: number): Promise<void> {
    this.#child.kill("SIGSTOP");
    await delay(ms);
    this.#child.kill("SIGCONT");
    await this.#scraped();
  }

  /** Stops it and starts it with the data that it has, and waits until it scrapes all targets. */
  async restart(): Promise<void> {
    this.#child.kill("SIGTERM");
    await this.#child.status;
    this.#child = this.#spawn();
    await this.#scraped();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.status;
  }

  /** Waits until every target was scraped. */
  async #scraped(): Promise<void> {
    await waitFor(`${this.#targets} targets`, async () => {
      const up = await this.query("up == 1");
      return up.length === this.#targets;
    }, { everyMs: 200 });
  }

  async #get<T>(path: string): Promise<T> {
    const [program, ...args] = [
      ...this.#within,
      ...["curl", "--silent", "--show-error", "--max-time", "10"],
      `${this.#url}/api/v1/${path}`,
    ];
    const { code, stdout, stderr } = await run(program!, args);
    assert.equal(code, 0, stderr);
    const { status, data, error } = JSON.parse(stdout);
    assert.equal(status, "success", error);
    return data;
  }
}
