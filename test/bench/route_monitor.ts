import type { Station } from "../lab/station.ts";
import { DenoCommandFollower } from "../../src/system/deno_command.ts";
import { waitFor } from "../support/wait_for.ts";

/** A destination that nothing else uses (RFC 5737). */
const PROBE = "203.0.113.0/24";

/** What became of a route. */
type RouteChange = "added" | "deleted";

/** Listens to `ip monitor` in a network namespace. Disposing of it ends it. */
export class RouteMonitor implements AsyncDisposable {
  readonly #stop = new AbortController();
  readonly #ended: Promise<void>;
  /** When a change was seen, by its kind and destination. */
  readonly #seenAt = new Map<string, number>();
  readonly #awaited = new Map<string, (at: number) => void>();

  private constructor(netns: string) {
    this.#ended = this.#follow(netns);
  }

  /** Starts to listen: what changes from then on is seen. */
  static async start(station: Station): Promise<RouteMonitor> {
    const monitor = new RouteMonitor(station.netns);
    // It does not say when it begins.
    await waitFor("ip monitor to listen", async () => {
      await station.ip(`route add unreachable ${PROBE}`);
      await station.ip(`route delete unreachable ${PROBE}`);
      return monitor.#seenAt.has("deleted unreachable");
    });
    return monitor;
  }

  /** Waits for a change of the route to a destination, and returns when it was seen (`performance.now`). */
  async seen(change: RouteChange, destination: string): Promise<number> {
    const key = `${change} ${destination}`;
    const at = this.#seenAt.get(key) ??
      await new Promise<number>((resolve) => this.#awaited.set(key, resolve));
    this.#seenAt.delete(key);
    return at;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#ended;
  }

  async #follow(netns: string): Promise<void> {
    const said = new DenoCommandFollower().follow({
      program: "ip",
      args: ["-n", netns, "monitor", "route"],
    }, { signal: this.#stop.signal });
    for await (const line of said) this.#take(line, performance.now());
  }

  #take(line: string, at: number): void {
    const [first, second] = line.split(" ");
    const key = first === "Deleted" ? `deleted ${second}` : `added ${first}`;
    this.#seenAt.set(key, at);
    this.#awaited.get(key)?.(at);
    this.#awaited.delete(key);
  }
}
