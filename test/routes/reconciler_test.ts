import assert from "node:assert/strict";
import {
  RouteReconciler,
  type RouteReconcilerOptions,
} from "../../src/routes/reconciler.ts";
import type { RouteReport } from "../../src/routes/report.ts";
import { IpRoutes } from "../../src/routes/ip_routes.ts";
import type { KernelRoutes } from "../../src/routes/kernel_routes.ts";
import { formatCommands } from "../../src/routes/plan/ip_batch.ts";
import type { FakeIp } from "../fake/fake_ip.ts";
import { formatWays } from "../fake/fake_ip_text.ts";
import { followPort } from "../support/follow_port.ts";
import { waitFor } from "../support/wait_for.ts";
import { createFakeHost, desire, PROTOCOL, type } from "./plan/kernels.ts";

const WISH = [
  desire("172.16.4.0/22 via 198.18.0.2"),
  desire("172.16.8.0/22 via 198.18.0.3", "c"),
  desire("fd00:4::/64 via 2001:db8::2"),
];
const OWN = [
  "route append 172.16.4.0/22 via 198.18.0.2 dev up0 proto 83",
  "route append 172.16.8.0/22 via 198.18.0.3 dev up0 proto 83",
  "route append fd00:4::/64 via 2001:db8::2 dev up0 proto 83 metric 1024",
];
/** Deletes one of the routes wanted. */
const DAMAGE = "route del 172.16.4.0/22 proto 83";

/** A reconciler on a fake host, ended with the test. */
interface Bench extends AsyncDisposable {
  readonly ip: FakeIp;
  readonly reconciler: RouteReconciler;
  /** The routes that are neither the kernel's nor gone, as commands. */
  routes(): string[];
  /** Waits for a report, the last one included, that fits. */
  reported(fits: (report: RouteReport) => boolean): Promise<RouteReport>;
}

Deno.test("RouteReconciler in mode plan only plans", async () => {
  await using bench = await start({ mode: "plan" });
  const { reconciler, ip } = bench;
  await type(ip, "route add 172.16.12.0/22 via 198.18.0.2 proto 83");
  const before = bench.routes();
  reconciler.setDesired(WISH.slice(0, 1));
  const report = await reconciler.reconcile();
  const commands = [
    "ip route add 172.16.4.0/22 via 198.18.0.2 dev up0 proto 83",
    "ip route del 172.16.12.0/22 via 198.18.0.2 dev up0 proto 83",
  ];
  assert.deepEqual(report.operations.flatMap(formatCommands), commands);
  assert.deepEqual(report.routes.map(({ state }) => state.kind), ["pending"]);
  assert.equal(report.error, undefined);
  await reconciler.removeAll();
  assert.deepEqual(bench.routes(), before);
  // What an operator does by hand is seen.
  reconciler.setDesired(WISH.slice(0, 1));
  for (const command of commands) await type(ip, command.slice(3));
  const { operations } = await bench.reported(({ counts }) =>
    counts.installed === 1
  );
  assert.deepEqual(operations, []);
});

Deno.test("RouteReconciler in mode off does not even look", async () => {
  await using bench = await start({ mode: "off" });
  bench.ip.log.length = 0;
  bench.reconciler.setDesired(WISH);
  const report = await bench.reconciler.reconcile();
  await bench.reconciler.removeAll();
  assert.deepEqual(bench.ip.log, []);
  assert.deepEqual(report.counts, {
    wanted: 3,
    installed: 0,
    conflicts: 0,
    unresolved: 3,
  });
  assert.deepEqual(report.routes[0]?.state, {
    kind: "unknown",
    why: "routes are off on this host",
  });
  assert.equal(report.readAtMs, undefined);
});

Deno.test("RouteReconciler does nothing before it knows the desired routes", async () => {
  await using bench = await start();
  await type(bench.ip, "route add 172.16.12.0/22 via 198.18.0.2 proto 83");
  bench.ip.log.length = 0;
  await bench.reconciler.reconcile();
  assert.deepEqual(bench.ip.log, []);
});

Deno.test("RouteReconciler says that there is no ip, and goes on when there is", async () => {
  await using bench = await start();
  bench.ip.isMissing = true;
  bench.reconciler.setDesired(WISH);
  const report = await bench.reconciler.reconcile();
  const why = 'Cannot run "ip": it is not installed';
  assert.equal(report.error, why);
  assert.deepEqual(report.routes[0]?.state, { kind: "unknown", why });
  bench.ip.isMissing = false;
  const { error } = await bench.reported(({ counts }) =>
    counts.installed === 3
  );
  assert.equal(error, undefined);
  assert.deepEqual(bench.routes(), OWN);
});

Deno.test("RouteReconciler reports missing rights, and continues once it has them", async () => {
  await using bench = await start();
  bench.ip.refuseAll = "RTNETLINK answers: Operation not permitted";
  bench.reconciler.setDesired(WISH);
  const report = await bench.reconciler.reconcile();
  assert.equal(
    report.error,
    "Cannot add 172.16.4.0/22 via 198.18.0.2 dev up0: RTNETLINK answers: Operation not permitted" +
      '; 2 more failed; run the agent with CAP_NET_ADMIN, or with "--routes plan" or "--routes off"',
  );
  assert.deepEqual(report.routes[1]?.state, {
    kind: "failed",
    error:
      "Cannot add 172.16.8.0/22 via 198.18.0.3 dev up0: RTNETLINK answers: Operation not permitted",
  });
  assert.equal(report.operations.length, 3);
  bench.ip.refuseAll = "";
  await bench.reported(({ counts }) => counts.installed === 3);
  assert.deepEqual(bench.routes(), OWN);
  assert.equal(bench.reconciler.report.repaired.count, 0);
});

Deno.test("RouteReconciler looks every now and then, also when nothing is announced", async () => {
  await using bench = await start({ intervalMs: 10 }, { isDeaf: true });
  bench.reconciler.setDesired(WISH);
  await bench.reconciler.reconcile();
  await type(bench.ip, DAMAGE);
  await bench.reported(({ repaired }) => repaired.count === 1);
  assert.deepEqual(bench.routes(), OWN);
});

Deno.test("RouteReconciler is not kept from its work by events without end", async () => {
  await using bench = await start({ debounceMs: 20 });
  bench.reconciler.setDesired(WISH);
  await bench.reconciler.reconcile();
  const storm = setInterval(() => bench.ip.kernel.onEvent("link up9"), 1);
  try {
    await type(bench.ip, DAMAGE);
    await bench.reported(({ repaired }) => repaired.count === 1);
  } finally {
    clearInterval(storm);
  }
  assert.deepEqual(bench.routes(), OWN);
});

Deno.test("RouteReconciler does one thing at a time", async () => {
  let atOnce = 0;
  let most = 0;
  let looks = 0;
  await using bench = await start({ debounceMs: 0 }, {
    wrap: (port) => ({
      ...bind(port),
      async read() {
        most = Math.max(most, ++atOnce);
        looks++;
        const state = await port.read();
        atOnce--;
        return state;
      },
    }),
  });
  const wishes = Array.from({ length: 20 }, (_, i) => WISH.slice(i % 3));
  const reports = wishes.map((wish) => {
    bench.reconciler.setDesired(wish);
    bench.ip.kernel.onEvent("link up9");
    return bench.reconciler.reconcile();
  });
  await Promise.all(reports);
  assert.equal(most, 1);
  // Many wishes at once are one.
  assert.ok(looks < 10, `${looks} looks`);
  assert.deepEqual(
    bench.routes(),
    OWN.slice(19 % 3),
  );
});

Deno.test("RouteReconciler.reconcile() reads the kernel after it is called", async () => {
  await using bench = await start({}, { isDeaf: true });
  bench.reconciler.setDesired(WISH);
  const first = bench.reconciler.reconcile();
  await first;
  await type(bench.ip, DAMAGE);
  const [one, other] = await Promise.all([
    bench.reconciler.reconcile(),
    bench.reconciler.reconcile(),
  ]);
  assert.equal(one.repaired.count, 1);
  assert.equal(other, one);
});

Deno.test("RouteReconciler counts repairs by cause", async () => {
  await using bench = await start({}, { isDeaf: true });
  const { ip, reconciler } = bench;
  const rows: readonly [commands: readonly string[], cause: string][] = [
    [[DAMAGE], "missing"],
    [["route replace 172.16.4.0/22 via 198.18.0.9 proto 83"], "changed"],
    [["route add 172.16.4.0/22 via 198.18.0.9 proto 83 metric 5"], "surplus"],
    [["route add 172.16.99.0/24 via 198.18.0.9 proto 83"], "surplus"],
    [["link set up0 down", "link set up0 up"], "missing"],
  ];
  reconciler.setDesired(WISH.slice(0, 1));
  await reconciler.reconcile();
  for (const [commands, cause] of rows) {
    const { count, byCause } = reconciler.report.repaired;
    for (const command of commands) await type(ip, command);
    const { repaired } = await reconciler.reconcile();
    assert.equal(repaired.count, count + 1, commands.join());
    const before = Object.entries(byCause).filter(([name]) => name !== cause);
    const rest = Object.entries(repaired.byCause)
      .filter(([name]) => name !== cause);
    assert.deepEqual(rest, before, commands.join());
  }
  await type(ip, "route replace 172.16.4.0/22 via 198.18.0.77");
  assert.equal((await reconciler.reconcile()).counts.conflicts, 1);
  await type(ip, "route del 172.16.4.0/22");
  await reconciler.reconcile();
  await type(ip, "link set up0 down");
  assert.equal((await reconciler.reconcile()).counts.unresolved, 1);
  await type(ip, "link set up0 up");
  const { repaired } = await reconciler.reconcile();
  assert.deepEqual(repaired.byCause, {
    missing: 2,
    changed: 1,
    surplus: 2,
    "conflict gone": 1,
    "next hop back": 1,
  });
  assert.equal(repaired.lastAtMs, NOW_MS);
  // A wish is none.
  reconciler.setDesired([desire("172.16.4.0/22 via 198.18.0.3")]);
  assert.equal((await reconciler.reconcile()).repaired.count, repaired.count);
});

Deno.test("RouteReconciler.stop() drops waiting work, and leaves routes in place", async () => {
  await using bench = await start();
  bench.reconciler.setDesired(WISH);
  await bench.reconciler.reconcile();
  const waiting = bench.reconciler.reconcile();
  await bench.reconciler.stop();
  assert.equal((await waiting).counts.installed, 3);
  bench.ip.log.length = 0;
  await type(bench.ip, DAMAGE);
  await bench.reconciler.reconcile();
  assert.deepEqual(bench.ip.log, [DAMAGE]);
});

/** What the clock shows. */
const NOW_MS = 1_700_000_000_000;

async function start(
  options: Partial<RouteReconcilerOptions> = {},
  { isDeaf = false, wrap = (port) => port }: {
    /** Whether nothing that happens is heard. */
    readonly isDeaf?: boolean;
    readonly wrap?: (port: KernelRoutes) => KernelRoutes;
  } = {},
): Promise<Bench> {
  const ip = await createFakeHost();
  const port = wrap(new IpRoutes({ runner: ip, follower: ip }));
  const reconciler = new RouteReconciler({
    port,
    mode: "apply",
    protocol: PROTOCOL,
    now: () => NOW_MS,
    debounceMs: 1,
    ...options,
  });
  const end = isDeaf ? () => Promise.resolve() : followPort(port, reconciler);
  return {
    ip,
    reconciler,
    routes: () => formatWays(ip, ({ protocol }) => protocol !== 2),
    async reported(fits) {
      await waitFor("the report", () => fits(reconciler.report));
      return reconciler.report;
    },
    async [Symbol.asyncDispose]() {
      await end();
      await reconciler.stop();
    },
  };
}

function bind(port: KernelRoutes): KernelRoutes {
  return {
    read: () => port.read(),
    apply: (operations) => port.apply(operations),
    monitor: (options) => port.monitor(options),
  };
}
