import { LineProcess } from "./line_process.ts";
import type { LoadClientKind, LoadPhase, LoadResult } from "./load_client.ts";
import { processorMs } from "./proc_stat.ts";

/** What calls took that several processes made at once. */
export interface Load {
  readonly count: number;
  readonly perSecond: number;
  readonly medianMs: number;
  readonly p95Ms: number;
  /** Processor time of the agent for one call, in µs. */
  readonly agentUs: number;
  /** Processor time of all clients for one call, in µs. */
  readonly clientUs: number;
}

/** Which processes make calls, and to which agent. */
export interface LoadClientsOptions {
  readonly kind: LoadClientKind;
  /** How many processes. Default 1. */
  readonly processes?: number;
  readonly port: number;
  /** Of the agent's process. */
  readonly pid: number;
}

/** Starts processes that make calls to an agent. */
export function startLoadClients(options: LoadClientsOptions): LoadClients {
  return new LoadClients(options);
}

/** Processes that make calls to an agent. Disposing of it ends them. */
export class LoadClients implements AsyncDisposable {
  readonly #pid: number;
  readonly #clients: readonly LineProcess[];

  constructor({ kind, processes = 1, port, pid }: LoadClientsOptions) {
    this.#pid = pid;
    this.#clients = Array.from(
      { length: processes },
      () => new LineProcess("load_client.ts", [kind, String(port)]),
    );
  }

  /** Makes the calls of a phase, shared out among the processes. */
  async run(phase: LoadPhase): Promise<Load> {
    const processes = this.#clients.length;
    const count = Math.floor(phase.count / processes);
    const before = processorMs(this.#pid);
    const results = await Promise.all(
      this.#clients.map((client, i) =>
        client.ask<LoadResult>({
          ...phase,
          first: phase.first + i * count,
          count,
          atOnce: Math.floor(phase.atOnce / processes),
        })
      ),
    );
    return summarize(results, processorMs(this.#pid) - before);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(
      this.#clients.map((client) => client[Symbol.asyncDispose]()),
    );
  }
}

function summarize(results: readonly LoadResult[], agentMs: number): Load {
  const latencies = results.flatMap((result) => result.latenciesMs)
    .sort((a, b) => a - b);
  const count = latencies.length;
  const clientMs = results.reduce((sum, r) => sum + r.processorMs, 0);
  return {
    count,
    perSecond: count / Math.max(...results.map((result) => result.seconds)),
    medianMs: latencies[Math.floor(count / 2)]!,
    p95Ms: latencies[Math.floor(count * 0.95)]!,
    agentUs: agentMs * 1000 / count,
    clientUs: clientMs * 1000 / count,
  };
}
