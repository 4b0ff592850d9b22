import type { Station } from "../lab/station.ts";
import { execArgs } from "../lab/netns.ts";
import { signalChild } from "../support/signal_child.ts";

/** What one run of iperf3 found. */
export interface TcpResult {
  /** As the receiver counts. */
  readonly gbitPerSecond: number;
  /** Processor time of both ends for one KiB, in ns. */
  readonly cpuNsPerKiB: number;
}

/** What iperf3 prints with `--json`, as far as it is used. */
interface IperfReport {
  readonly end: {
    readonly sum_received: {
      readonly bits_per_second: number;
      readonly bytes: number;
      readonly seconds: number;
    };
    /** In percent of one processor. */
    readonly cpu_utilization_percent: {
      readonly host_total: number;
      readonly remote_total: number;
    };
  };
}

/** An iperf3 that waits for others. Disposing of it ends it. */
export class IperfServer implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;

  private constructor(child: Deno.ChildProcess) {
    this.#child = child;
  }

  /** Starts one, and waits until it listens. */
  static async start(station: Station): Promise<IperfServer> {
    const child = new Deno.Command("ip", {
      args: execArgs(station.netns, ["iperf3", "--server", "--forceflush"]),
      stdin: "null",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    const reader = child.stdout.pipeThrough(new TextDecoderStream())
      .getReader();
    let said = "";
    while (!said.includes("Server listening")) {
      const { value, done } = await reader.read();
      if (done) {
        throw new Error(`Cannot run iperf3 on ${station.name}: ${said}`);
      }
      said += value;
    }
    // It goes on to write, and must not wait for a reader.
    void drain(reader);
    return new IperfServer(child);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    signalChild(this.#child, "SIGKILL");
    await this.#child.status;
  }
}

/** Sends over one TCP connection for some seconds. */
export async function measureTcp(
  from: Station,
  address: string,
  seconds: number,
): Promise<TcpResult> {
  const args = ["--client", address, "--time", String(seconds), "--json"];
  const { end } = JSON.parse(await from.must("iperf3", args)) as IperfReport;
  const { bits_per_second, bytes, seconds: took } = end.sum_received;
  const { host_total, remote_total } = end.cpu_utilization_percent;
  const cpuNs = (host_total + remote_total) / 100 * took * 1e9;
  return {
    gbitPerSecond: bits_per_second / 1e9,
    cpuNsPerKiB: cpuNs / (bytes / 1024),
  };
}

async function drain(
  reader: ReadableStreamDefaultReader<string>,
): Promise<void> {
  while (!(await reader.read()).done);
}
