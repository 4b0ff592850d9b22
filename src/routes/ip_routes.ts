import { NetError } from "../base/error.ts";
import { RecentMap } from "../base/recent_map.ts";
import type { CommandFollower, CommandRunner } from "../system/command.ts";
import { followEvents } from "../system/follow_events.ts";
import type {
  KernelRoutes,
  MonitorOptions,
  OperationOutcome,
} from "./kernel_routes.ts";
import {
  formatBatchLines,
  parseAnswers,
  parseBatchFailures,
  type QueryLine,
  queryLines,
  type RouteQuery,
} from "./plan/ip_batch.ts";
import {
  eventKey,
  type KernelEvent,
  parseLinks,
  parseMonitorLine,
} from "./plan/ip_json.ts";
import type { KernelState } from "./plan/kernel_route.ts";
import type { RouteOperation } from "./plan/route_plan.ts";

// One process reads everything. -N: protocols come as numbers, whatever this
// host's rt_protos calls them. All tables: routes of both families come at once.
const READ = ["-N", "-json", "-batch", "-"];
const ALL_TABLES: QueryLine = { line: "route show table all" };
const BATCH = ["-force", "-batch", "-"];
const MONITOR = ["-o", "-N", "monitor", "label"]
  .concat("route", "link", "address", "netconf");

/** The remaining lifetimes of addresses and routes, which change all the time. */
const LIFETIMES = /(?<="(?:valid_life_time|preferred_life_time|expires)":)\d+/g;
/** Queries whose last answers are kept: the reconciler's and that of the facts. */
const MAX_QUERIES = 2;

/** Time in which the kernel announces the agent's own changes, in ms. */
const ANNOUNCE_MS = 1_000;

export interface IpRoutesOptions {
  readonly runner: CommandRunner;
  readonly follower: CommandFollower;
  /** A time in ms that never goes back. Default: `performance.now()`. */
  readonly clock?: () => number;
}

/** The kernel's routes through `ip` (ip(8), ip-route(8), ip-monitor(8)). */
export class IpRoutes implements KernelRoutes {
  readonly #runner: CommandRunner;
  readonly #follower: CommandFollower;
  readonly #clock: () => number;
  /** The last output of `ip` for each command, and the state in it. */
  readonly #last = new RecentMap<
    string,
    { readonly text: string; readonly state: KernelState }
  >(MAX_QUERIES);
  /** The events that the agent's own changes cause, by key. */
  readonly #expected = new Map<string, { count: number; untilMs: number }>();

  constructor({ runner, follower, clock }: IpRoutesOptions) {
    this.#runner = runner;
    this.#follower = follower;
    this.#clock = clock ?? (() => performance.now());
  }

  async read(query?: RouteQuery): Promise<KernelState> {
    const ipv4 = query ? queryLines(query, 4) : [ALL_TABLES];
    const ipv6 = query ? queryLines(query, 6) : [];
    const [text4, text6] = await Promise.all([
      this.#show(["address show", ...ipv4.map(({ line }) => line)]),
      query ? this.#show(ipv6.map(({ line }) => line), "-6") : "",
    ]);
    const lines = [...ipv4, ...ipv6];
    const key = lines.map(({ line }) => line).join("\n");
    const text = text4 + text6;
    const last = this.#last.get(key);
    // Mostly nothing has changed, and neither parsing nor planning is repeated.
    if (last?.text === text) return last.state;
    const state = parse(lines, text);
    this.#last.set(key, { text, state });
    return state;
  }

  async apply(
    operations: readonly RouteOperation[],
  ): Promise<readonly OperationOutcome[]> {
    if (operations.length === 0) return [];
    const lines = operations.map(formatBatchLines);
    this.#expect(lines.flat());
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
      const errors = numbers.flatMap((n) => failures.lines.get(n) ?? []);
      for (const [at, n] of numbers.entries()) {
        // A line that failed changes nothing, and nothing is announced.
        const key = failures.lines.has(n) && eventKey(lines[index]![at]!);
        if (key) this.#isExpected(key);
      }
      // It is unknown where `ip` stopped: the caller reads the kernel again.
      return {
        operation,
        error: errors[0] ?? (isBroken ? failures.rest : undefined),
      };
    });
  }

  monitor({ signal }: MonitorOptions): AsyncGenerator<KernelEvent> {
    return followEvents<KernelEvent>(this.#follower, {
      command: { program: "ip", args: MONITOR },
      signal,
      read: (text) => {
        const line = parseMonitorLine(text);
        const isOwn = line?.kind === "routes" && this.#isExpected(line.key);
        return isOwn ? undefined : line?.kind;
      },
      missed: () => {
        // The announcements of earlier changes may be among those missed.
        this.#expected.clear();
        return "interfaces";
      },
      merge: (a, b) => a === "interfaces" ? a : b,
    });
  }

  #expect(lines: readonly string[]): void {
    const nowMs = this.#clock();
    for (const [key, { untilMs }] of this.#expected) {
      if (untilMs < nowMs) this.#expected.delete(key);
    }
    for (const key of lines.flatMap((line) => eventKey(line) ?? [])) {
      const { count = 0 } = this.#expected.get(key) ?? {};
      const untilMs = nowMs + ANNOUNCE_MS;
      this.#expected.set(key, { count: count + 1, untilMs });
    }
  }

  /** Whether an event is caused by the agent's own change. Each change causes one. */
  #isExpected(key: string): boolean {
    const expected = this.#expected.get(key);
    if (!expected || expected.untilMs < this.#clock()) return false;
    if (--expected.count === 0) this.#expected.delete(key);
    return true;
  }

  /** Runs lines that print a line each. */
  async #show(lines: readonly string[], ...flags: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.#runner.run({
      program: "ip",
      args: [...flags, ...READ],
      stdin: `${lines.join("\n")}\n`,
    });
    if (code !== 0) {
      throw unreadable(stderr.trim() || `it ended with ${code}`);
    }
    // `ip` prints nothing at all where there is no such table.
    return stdout.replaceAll(LIFETIMES, "0");
  }
}

/** Parses the output of `address show` and of the lines of a query, a line each. */
function parse(lines: readonly QueryLine[], text: string): KernelState {
  try {
    const [addresses = "", ...answers] = text.trim().split("\n");
    return {
      links: parseLinks(addresses),
      routes: parseAnswers(lines, answers),
    };
  } catch (cause) {
    throw unreadable("its output has an unknown form", { cause });
  }
}

function unreadable(what: string, options?: ErrorOptions): NetError {
  return new NetError(
    "unavailable",
    `Cannot read this host's routes: "ip ${READ.join(" ")}" failed: ${what}`,
    options,
  );
}
