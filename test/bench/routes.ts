import { performance } from "node:perf_hooks";
import { RouteReconciler } from "../../src/routes/reconciler.ts";
import type { CommandRunner } from "../../src/system/command.ts";
import type { OperationOutcome } from "../../src/routes/kernel_routes.ts";
import { DenoCommandRunner } from "../../src/system/deno_command.ts";
import { IpRoutes } from "../../src/routes/ip_routes.ts";
import { parseAddress } from "../../src/net/address.ts";
import { formatPrefix, parsePrefix } from "../../src/net/prefix.ts";
import type { RouteOperation } from "../../src/routes/plan/route_plan.ts";
import type { DesiredRoute } from "../../src/routes/plan/desired_route.ts";
import { NetnsHost } from "../support/netns_host.ts";
import {
  type BenchOptions,
  type BenchReport,
  formatNumber,
  formatRatio,
} from "./report.ts";

/** What is allowed beside `ip` itself. */
const BUDGET_RATIO = 1.3;
const PROTOCOL = 83;

const FULL = { routes: 4096, rounds: 15 };
const QUICK = { routes: 64, rounds: 1 };

/** The times of one round, in ms. */
interface Round {
  readonly batch: number;
  readonly show: number;
  /** Until the routes are in the kernel, and until they have been read back. */
  readonly fromEmpty: Reconcile;
  readonly oneChange: Reconcile;
  readonly nothing: Reconcile;
}

interface Reconcile {
  readonly kernel: number;
  readonly all: number;
}

/**
 * Reconciles thousands of routes in a kernel of their own: from empty, one
 * change, nothing to do. Beside `ip -batch` and `ip -json route show`, started
 * in the same way.
 */
export async function benchRoutes(
  { quick }: BenchOptions,
): Promise<readonly BenchReport[]> {
  const size = quick ? QUICK : FULL;
  await using host = await NetnsHost.create(
    "ip link add up0 type veth peer name far0",
    "ip address add 198.18.0.1/24 dev up0",
    "ip link set far0 up",
    "ip link set up0 up",
  );
  const runner = runnerIn(host.name);
  const port = new TimedRoutes({ runner, follower: host.follower });
  const reconciler = new RouteReconciler({
    port,
    mode: "apply",
    protocol: PROTOCOL,
    now: Date.now,
  });
  try {
    const rounds: Round[] = [];
    for (let i = 0; i <= size.rounds; i++) {
      rounds.push(await measure(runner, { port, reconciler, ...size }));
    }
    // The first one warms up.
    return [report(rounds.slice(1), size.routes)];
  } finally {
    await reconciler.stop();
  }
}

/** Runs `ip` in a namespace by its own means: `ip netns exec` takes as long as a small reconcile. */
function runnerIn(namespace: string): CommandRunner {
  const runner = new DenoCommandRunner();
  return {
    run: (command) =>
      runner.run({ ...command, args: ["-n", namespace, ...command.args] }),
  };
}

/** Records the time of its last change of the kernel. */
class TimedRoutes extends IpRoutes {
  appliedAt = 0;

  override async apply(
    operations: readonly RouteOperation[],
  ): Promise<readonly OperationOutcome[]> {
    const outcomes = await super.apply(operations);
    this.appliedAt = performance.now();
    return outcomes;
  }
}

async function measure(
  runner: CommandRunner,
  { port, reconciler, routes: count }: {
    readonly port: TimedRoutes;
    readonly reconciler: RouteReconciler;
    readonly routes: number;
  },
): Promise<Round> {
  const ip = (args: string, stdin?: string) =>
    must(runner, args.split(" "), stdin);
  const first = desire(count, 2);
  const lines = first.map(({ destination }) =>
    `route add ${formatPrefix(destination)} via 198.18.0.2 proto ${PROTOCOL}\n`
  ).join("");
  const flush = () => ip(`route flush proto ${PROTOCOL}`);
  const reconcile = async (
    routes: readonly DesiredRoute[],
  ): Promise<Reconcile> => {
    const startedAt = performance.now();
    reconciler.setDesired(routes);
    const { counts, error } = await reconciler.reconcile();
    if (counts.installed !== count) {
      throw new Error(`Cannot measure: ${counts.installed} routes, ${error}`);
    }
    const all = performance.now() - startedAt;
    return { kernel: port.appliedAt - startedAt, all };
  };
  await flush();
  const batch = await time(() => ip("-force -batch -", lines));
  await flush();
  const fromEmpty = await reconcile(first);
  const changed = [...desire(1, 3), ...first.slice(1)];
  const oneChange = await reconcile(changed);
  // Beside each other, so that both meet the same load.
  const show = await time(() => ip("-json route show table main"));
  const nothing = await reconcile(changed);
  return { batch, show, fromEmpty, oneChange, nothing };
}

function report(rounds: readonly Round[], count: number): BenchReport {
  const row = (
    name: string,
    of: (round: Round) => number,
    beside: "batch" | "show",
  ) => [
    name,
    formatNumber(medianOf(rounds.map(of))),
    formatRatio(medianOf(rounds.map((round) => of(round) / round[beside]))),
    beside === "batch" ? "ip -batch" : "ip -json route show",
  ];
  return {
    title: `routes: ${count} in the kernel of one host`,
    columns: ["", "median ms", "ratio", "beside"],
    rows: [
      row("ip -batch", (r) => r.batch, "batch"),
      row("from empty, in the kernel", (r) => r.fromEmpty.kernel, "batch"),
      row("from empty, read back", (r) => r.fromEmpty.all, "batch"),
      row("ip -json route show", (r) => r.show, "show"),
      row("nothing to do", (r) => r.nothing.all, "show"),
      row("one change, in the kernel", (r) => r.oneChange.kernel, "show"),
      row("one change, read back", (r) => r.oneChange.all, "show"),
    ],
    notes: [
      `Budget: ${
        formatRatio(BUDGET_RATIO)
      } from empty until in the kernel, and with nothing to do.`,
      "Every reconcile reads before it changes anything.",
    ],
  };
}

/** The middle one of an odd number of values. */
function medianOf(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}

/** Routes to so many destinations by one next hop. */
function desire(count: number, host: number): DesiredRoute[] {
  const nextHop = parseAddress(`198.18.0.${host}`);
  return Array.from({ length: count }, (_, i) => ({
    destination: parsePrefix(`10.${i >> 8}.${i & 255}.0/24`),
    nextHop,
    origin: { kind: "node", node: `node${i}` },
  }));
}

async function time(run: () => Promise<void>): Promise<number> {
  const startedAt = performance.now();
  await run();
  return performance.now() - startedAt;
}

async function must(
  runner: CommandRunner,
  args: readonly string[],
  stdin?: string,
): Promise<void> {
  const { code, stderr } = await runner.run({
    program: "ip",
    args,
    ...stdin === undefined ? {} : { stdin },
  });
  if (code !== 0) throw new Error(`Cannot measure: ${stderr}`);
}
