import { Gauge, Registry } from "prom-client";
import { AgentCounters, CallCounters } from "./counters.ts";
import { AGENT_GAUGES, type AgentReading } from "./agent_gauges.ts";
import { NetError } from "../base/error.ts";
import { PROCESS_GAUGES, type ProcessReading } from "./process_gauges.ts";
import { createReadMetrics } from "./read_metric.ts";

/** The build of this program, as labels of `stellar_net_build_info`. */
export type BuildInfo = Readonly<Record<string, string>>;

/** The readings for each exposition. */
export interface MetricsSources {
  /** Fails when the store does not take reads; the exposition leaves out the agent's metrics then. */
  readonly agent: () => Promise<AgentReading>;
  readonly process: () => Promise<ProcessReading>;
}

const PREFIX = "stellar_net_";

/** All metrics of one agent, for Prometheus. */
export class Metrics {
  readonly #register = new Registry();
  readonly #storeReadable: Gauge;
  /** Counts what the agent's parts report. */
  readonly agent = new AgentCounters(this.#register);
  /** Counts what the server reports. */
  readonly calls = new CallCounters(this.#register);
  readonly #showAgent = createReadMetrics(this.#register, AGENT_GAUGES, PREFIX);
  readonly #showProcess = createReadMetrics(this.#register, PROCESS_GAUGES, "");

  constructor(build: BuildInfo) {
    const registers = [this.#register];
    this.#storeReadable = new Gauge({
      name: `${PREFIX}store_readable`,
      help: "1 while the store takes reads.",
      registers,
    });
    new Gauge({
      name: `${PREFIX}build_info`,
      help: "What this program is; always 1.",
      labelNames: Object.keys(build),
      registers,
    }).set(build, 1);
  }

  /** Formats all metrics, with new readings (Prometheus' text format 0.0.4). */
  async format(
    sources: MetricsSources,
  ): Promise<{ readonly text: string; readonly contentType: string }> {
    const [reading, process] = await Promise.all([
      readOrNothing(sources.agent),
      sources.process(),
    ]);
    // No await from here on: another exposition may run.
    this.#showAgent(reading);
    this.#storeReadable.set(Number(reading !== undefined));
    this.#showProcess(process);
    this.agent.flush();
    this.calls.flush();
    return {
      text: await this.#register.metrics(),
      contentType: this.#register.contentType,
    };
  }
}

async function readOrNothing<T>(
  read: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof NetError)) throw error;
    return undefined;
  }
}
