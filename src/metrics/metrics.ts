import { Gauge, Registry } from "prom-client";
import { AgentCounters, CallCounters } from "./counters.ts";
import { AGENT_GAUGES, type AgentReading } from "./agent_gauges.ts";
import { NetError } from "../base/error.ts";
import { PROCESS_GAUGES, type ProcessReading } from "./process_gauges.ts";
import { createReadMetrics } from "./read_metric.ts";

/** What built this program, as labels of `stellar_net_build_info`. */
export type BuildInfo = Readonly<Record<string, string>>;

/** What is read for each exposition. */
export interface MetricsSources {
  /** Fails when the store does not take reads; what is known of it is left out then. */
  readonly agent: () => Promise<AgentReading>;
  readonly process: () => Promise<ProcessReading>;
}

const PREFIX = "stellar_net_";

/** All metrics of one agent, as Prometheus reads them. */
export class Metrics {
  readonly #register = new Registry();
  readonly #storeReadable: Gauge;
  /** Takes what the agent's parts tell. */
  readonly agent = new AgentCounters(this.#register);
  /** Takes what the server tells. */
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

  /** Reads what is to be read, and formats everything (Prometheus' text format 0.0.4). */
  async format(
    sources: MetricsSources,
  ): Promise<{ readonly text: string; readonly contentType: string }> {
    const [reading, process] = await Promise.all([
      readOrNothing(sources.agent),
      sources.process(),
    ]);
    // From here on without a pause: others may be reading too.
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
