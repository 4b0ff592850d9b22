import assert from "node:assert/strict";
import { performance } from "node:perf_hooks";
import { RouteReconciler } from "../../src/routes/reconciler.ts";
import type { RouteReport } from "../../src/routes/report.ts";
import type {
  CommandFollower,
  CommandOutput,
  CommandRunner,
} from "../../src/system/command.ts";
import { followPort } from "../support/follow_port.ts";
import { IpRoutes } from "../../src/routes/ip_routes.ts";
import { parseAddress } from "../../src/net/address.ts";
import {
  comparePrefixes,
  formatPrefix,
  parsePrefix,
} from "../../src/net/prefix.ts";
import type { DesiredRoute } from "../../src/routes/plan/desired_route.ts";
import { formatKernelRoute } from "../../src/routes/plan/kernel_route.ts";

/** An `ip` and the kernel behind it, with no interface but the loopback. */
export interface RouteSubject {
  readonly runner: CommandRunner;
  readonly follower: CommandFollower;
  /** Removes the kernel. */
  dispose(): Promise<void>;
}

/** Options of the suite. */
export interface RouteSuiteOptions {
  open(): Promise<RouteSubject>;
  /** How long after an event the kernel is read, in ms. */
  readonly debounceMs: number;
  /** How many random walks are taken. */
  readonly walks: number;
  /** How many routes are many. */
  readonly many: number;
  /** Takes how long a repair took. */
  readonly onRepaired: (what: string, ms: number) => void;
}

export type RouteTest = (
  name: string,
  body: (world: RouteWorld) => Promise<void>,
) => void;

const PROTOCOL = 83;
const PROTOCOL_KERNEL = 2;
const PATIENCE_MS = 120_000;

/** How tests of the suite are registered: each has a world of its own. */
export function routeTest(
  name: string,
  { open, debounceMs }: Pick<RouteSuiteOptions, "open" | "debounceMs">,
): RouteTest {
  return (what, body) =>
    Deno.test(`${name}: ${what}`, async () => {
      const subject = await open();
      const world = new RouteWorld(subject, debounceMs);
      try {
        await world.build();
        await body(world);
      } finally {
        await world.stop();
        await subject.dispose();
      }
    });
}

/** Desired routes as text, such as `172.16.4.0/22 via 198.18.0.2`. */
export function wish(...texts: readonly string[]): DesiredRoute[] {
  return texts.map((text, index) => {
    const [destination, nextHop] = text.split(" via ");
    return {
      destination: parsePrefix(destination!),
      nextHop: parseAddress(nextHop!),
      origin: { kind: "node", node: `node${index}` },
    };
  });
}

/**
 * A host with two interfaces, `up0` (198.18.0.1/24, 2001:db8::1/64) and `up1`
 * (198.18.1.1/24), and a reconciler at work on it.
 */
export class RouteWorld {
  readonly port: IpRoutes;
  readonly #subject: RouteSubject;
  readonly #debounceMs: number;
  #reconciler: RouteReconciler | undefined;
  #end: (() => Promise<void>) | undefined;
  #news = Promise.withResolvers<void>();

  constructor(subject: RouteSubject, debounceMs: number) {
    this.#subject = subject;
    this.#debounceMs = debounceMs;
    this.port = new IpRoutes(subject);
  }

  /** Makes the interfaces, `up0` with its addresses; all are up. */
  async build(): Promise<void> {
    for (const index of [0, 1]) {
      await this.ip(`link add up${index} type veth peer name far${index}`);
      for (const name of [`up${index}`, `far${index}`]) {
        await this.ip(`link set ${name} addrgenmode none`);
        await this.ip(`link set ${name} up`);
      }
    }
    await this.ip("address add 198.18.0.1/24 dev up0");
    await this.ip("address add 2001:db8::1/64 dev up0 nodad");
  }

  /** The reconciler; made at the first use. */
  get reconciler(): RouteReconciler {
    if (this.#reconciler) return this.#reconciler;
    this.#reconciler = new RouteReconciler({
      port: this.port,
      mode: "apply",
      protocol: PROTOCOL,
      now: Date.now,
      debounceMs: this.#debounceMs,
      onReport: () => this.#news.resolve(),
    });
    this.#end = followPort(this.port, this.#reconciler);
    return this.#reconciler;
  }

  get report(): RouteReport {
    return this.reconciler.report;
  }

  /** Runs a command as an operator does. @returns whether it was carried out */
  async try(command: string): Promise<boolean> {
    return (await this.#run(command)).code === 0;
  }

  /** Runs a command as an operator does. */
  async ip(command: string): Promise<void> {
    const { code, stderr } = await this.#run(command);
    assert.equal(code, 0, `ip ${command}: ${stderr}`);
  }

  /** The routes but the kernel's own, by destination; those of one in the kernel's order. */
  async routes(): Promise<string[]> {
    const { routes } = await this.port.read();
    return routes.filter(({ protocol }) => protocol !== PROTOCOL_KERNEL)
      .sort((a, b) => comparePrefixes(a.destination, b.destination))
      .map(formatKernelRoute);
  }

  /** The routes, then what the report says of each desired one. */
  async text(): Promise<string> {
    const lines = this.report.routes.map(({ route, state }) =>
      `${formatPrefix(route.destination)}: ${state.kind}`
    );
    return [...await this.routes(), ...lines].join("\n");
  }

  /** Waits until routes and report are as expected. @returns how long that took, in ms */
  async settle(expected: readonly string[]): Promise<number> {
    const text = expected.join("\n");
    return await this.until(
      async () => await this.text() === text,
      async () => {
        assert.equal(await this.text(), text);
      },
    );
  }

  /** Waits until the routes are so many of ours. @returns how long that took, in ms */
  async settleCount(count: number): Promise<number> {
    const own = async () =>
      (await this.port.read()).routes
        .filter(({ protocol }) => protocol === PROTOCOL).length;
    return await this.until(
      async () => await own() === count,
      async () => assert.equal(await own(), count),
    );
  }

  /** Waits for a condition that becomes true with some report; looks at each. */
  async until(
    condition: () => Promise<boolean>,
    fail: () => Promise<void>,
  ): Promise<number> {
    const startedAt = performance.now();
    while (true) {
      const { promise } = this.#news = Promise.withResolvers<void>();
      if (await condition()) return performance.now() - startedAt;
      const leftMs = PATIENCE_MS - (performance.now() - startedAt);
      if (leftMs <= 0) await fail();
      await withLimit(promise, leftMs);
    }
  }

  #run(command: string): Promise<CommandOutput> {
    const args = command.split(" ");
    return this.#subject.runner.run({ program: "ip", args });
  }

  async stop(): Promise<void> {
    await this.#end?.();
    await this.#reconciler?.stop();
    this.#reconciler = undefined;
  }
}

/** Waits for a promise, and no longer than a limit. */
async function withLimit(promise: Promise<void>, ms: number): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const limit = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([promise, limit]);
  clearTimeout(timer);
}
