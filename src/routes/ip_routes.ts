import { getLogger } from "@logtape/logtape";
import { setTimeout as sleep } from "node:timers/promises";
import { NetError } from "../base/error.ts";
import type { CommandFollower, CommandRunner } from "../system/command.ts";
import type {
  KernelRoutes,
  MonitorOptions,
  OperationOutcome,
} from "./kernel_routes.ts";
import { formatBatchLines, parseBatchFailures } from "./plan/ip_batch.ts";
import { parseKernelRoutes } from "./plan/ip_json.ts";
import type { KernelState } from "./plan/kernel_route.ts";
import { parseLinks } from "./plan/links_json.ts";
import type { RouteOperation } from "./plan/plan.ts";

/** Tells a waiter that something happened. Rings that nobody waited for count as one. */
export class Bell {
  #rung = Promise.withResolvers<void>();

  ring(): void {
    this.#rung.resolve();
  }

  /** Waits for a ring since the last wait. */
  async rung(): Promise<void> {
    await this.#rung.promise;
    this.#rung = Promise.withResolvers<void>();
  }
}

// One process for all that is read. -N: a protocol is a number, whatever this
// host's rt_protos calls it. All tables: those of both families come at once.
const READ = ["-N", "-json", "-batch", "-"];
const READ_LINES = "address show\nroute show table all\n";
const BATCH = ["-force", "-batch", "-"];
const MONITOR = ["monitor", "route", "link", "address", "netconf"];

/** Addresses and routes that end by themselves show how long they still have. */
const LIFETIMES = /(?<="(?:valid_life_time|preferred_life_time|expires)":)\d+/g;
/** How long `ip monitor` takes, amply, from its start until it hears. */
const SETTLE_MS = 250;
const FIRST_BACK_OFF_MS = 100;
const MAX_BACK_OFF_MS = 10_000;

const log = getLogger(["stellar-net", "host", "routes"]);

/** What routes are read and changed with. */
export interface IpRoutesOptions {
  readonly runner: CommandRunner;
  readonly follower: CommandFollower;
}

/** The kernel's routes through `ip` (ip(8), ip-route(8), ip-monitor(8)). */
export class IpRoutes implements KernelRoutes {
  readonly #runner: CommandRunner;
  readonly #follower: CommandFollower;
  /** What `ip` printed the last time, and what that means. */
  #last: { readonly text: string; readonly state: KernelState } | undefined;

  constructor({ runner, follower }: IpRoutesOptions) {
    this.#runner = runner;
    this.#follower = follower;
  }

  async read(): Promise<KernelState> {
    const text = (await this.#show()).replaceAll(LIFETIMES, "0");
    // Mostly nothing has changed: neither this nor what follows from it is done again.
    if (this.#last?.text !== text) this.#last = { text, state: parse(text) };
    return this.#last.state;
  }

  async apply(
    operations: readonly RouteOperation[],
  ): Promise<readonly OperationOutcome[]> {
    if (operations.length === 0) return [];
    const lines = operations.map(formatBatchLines);
    const { code, stderr } = await this.#runner.run({
      program: "ip",
      args: BATCH,
      stdin: lines.flat().join("\n") + "\n",
    });
    const failures = parseBatchFailures(stderr);
    const isBroken = code !== 0 && failures.rest !== "";
    if (code !== 0 && !isBroken && failures.lines.size === 0) {
      throw new NetError(
        "unavailable",
        `Cannot change routes: "ip ${BATCH.join(" ")}" ended with ${code}`,
      );
    }
    let line = 0;
    return operations.map((operation, index) => {
      const numbers = lines[index]!.map(() => ++line);
      const said = numbers.flatMap((n) => failures.lines.get(n) ?? []);
      // Where ip left off, nobody knows: what the kernel has is read back.
      return {
        operation,
        error: said[0] ?? (isBroken ? failures.rest : undefined),
      };
    });
  }

  async *monitor({ signal }: MonitorOptions): AsyncGenerator<void> {
    const bell = new Bell();
    const stop = new AbortController();
    const end = () => stop.abort();
    stop.signal.addEventListener("abort", () => bell.ring());
    signal.addEventListener("abort", end);
    if (signal.aborted) end();
    const listening = this.#listen(bell, stop.signal);
    try {
      while (true) {
        await bell.rung();
        if (stop.signal.aborted) return;
        yield;
      }
    } finally {
      signal.removeEventListener("abort", end);
      end();
      await listening;
    }
  }

  /** Rings for what `ip monitor` says, and starts it again when it ends. */
  async #listen(bell: Bell, signal: AbortSignal): Promise<void> {
    let backOffMs = FIRST_BACK_OFF_MS;
    while (!signal.aborted) {
      // What happens before it hears is missed: look once it does.
      const settled = setTimeout(() => {
        backOffMs = FIRST_BACK_OFF_MS;
        bell.ring();
      }, SETTLE_MS);
      try {
        const command = { program: "ip", args: MONITOR };
        for await (const _ of this.#follower.follow(command, { signal })) {
          bell.ring();
        }
        log.debug("ip monitor ended");
      } catch (error) {
        log.debug("Cannot listen for changes of routes: {error}", { error });
      }
      clearTimeout(settled);
      await sleep(backOffMs, undefined, { signal }).catch(() => {});
      backOffMs = Math.min(backOffMs * 2, MAX_BACK_OFF_MS);
    }
  }

  async #show(): Promise<string> {
    const { code, stdout, stderr } = await this.#runner.run({
      program: "ip",
      args: READ,
      stdin: READ_LINES,
    });
    if (code === 0) return stdout;
    throw unreadable(stderr.trim() || `it ended with ${code}`);
  }
}

/** Parses what the two commands printed: a line each. */
function parse(text: string): KernelState {
  const [addresses, routes, ...more] = text.trim().split("\n");
  try {
    if (!addresses || !routes || more.length > 0) {
      throw new SyntaxError("ip did not print two lines");
    }
    return { links: parseLinks(addresses), routes: parseKernelRoutes(routes) };
  } catch (cause) {
    throw unreadable("it printed what cannot be read", { cause });
  }
}

function unreadable(what: string, options?: ErrorOptions): NetError {
  return new NetError(
    "unavailable",
    `Cannot read this host's routes: "ip ${
      READ.join(" ")
    }" with "address show" and "route show table all" failed: ${what}`,
    options,
  );
}
