import { signalChild } from "../support/signal_child.ts";
import { waitFor } from "../support/wait_for.ts";
import { execArgs } from "./netns.ts";
import type { Station } from "./station.ts";

/** A destination that nothing else uses (RFC 5737). */
const PROBE = "203.0.113.0/24";

/**
 * Listens with `ip monitor` to the routes that the kernels of hosts delete,
 * however short they are gone. Disposing of it ends it.
 */
export class DeletionMonitor implements AsyncDisposable {
  readonly #stations: readonly Station[];
  readonly #children: readonly Deno.ChildProcess[];
  readonly #said: string[];
  readonly #ended: Promise<unknown>;

  private constructor(stations: readonly Station[]) {
    this.#stations = stations;
    this.#said = stations.map(() => "");
    this.#children = stations.map(({ netns }) =>
      new Deno.Command("ip", {
        args: execArgs(netns, ["ip", "monitor", "route"]),
        stdin: "null",
        stdout: "piped",
        stderr: "null",
      }).spawn()
    );
    this.#ended = Promise.all(this.#children.map(async (child, index) => {
      const text = child.stdout.pipeThrough(new TextDecoderStream());
      for await (const said of text) this.#said[index] += said;
      await child.status;
    }));
  }

  /** Starts to listen: what is deleted from then on is heard. */
  static async start(stations: readonly Station[]): Promise<DeletionMonitor> {
    const monitor = new DeletionMonitor(stations);
    try {
      await monitor.#probe();
      monitor.#said.fill("");
      return monitor;
    } catch (error) {
      await monitor[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Ends it and tells which routes were deleted: the host, and what `ip` said. */
  async stop(): Promise<string[]> {
    // What was deleted before this was said before this.
    await this.#probe();
    await this[Symbol.asyncDispose]();
    return this.#stations.flatMap(({ name }, index) =>
      (this.#said[index]!.match(/^Deleted .*$/gm) ?? [])
        .filter((line) => !line.includes(PROBE))
        .map((line) => `${name}: ${line}`)
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) signalChild(child, "SIGKILL");
    await this.#ended;
  }

  /** Deletes routes until each listener has said so. */
  async #probe(): Promise<void> {
    await Promise.all(this.#stations.map(async (station, index) => {
      const from = this.#said[index]!.length;
      await waitFor("ip monitor to listen", async () => {
        await station.ip(`route add unreachable ${PROBE}`);
        await station.ip(`route delete unreachable ${PROBE}`);
        return this.#said[index]!.slice(from).includes(PROBE);
      });
    }));
  }
}
