import assert from "node:assert/strict";
import {
  type RouteSuiteOptions,
  type RouteTest,
  wish,
} from "./route_suite_world.ts";

/** The desire changes, is not possible yet, or is in somebody's way. */
export function testRouteDesire(
  test: RouteTest,
  { many, onRepaired }: Pick<RouteSuiteOptions, "many" | "onRepaired">,
): void {
  test("setDesired() installs what is wanted and removes what is stale", async (world) => {
    for (
      const command of [
        "route add 172.16.4.0/22 via 198.18.0.2 proto 83",
        "route add 172.16.12.0/22 via 198.18.0.2 proto 83",
        "route add 172.16.16.0/22 via 198.18.0.2 proto 82",
        "route add fd00:12::/64 via 2001:db8::2 proto 83",
        "route add fd00:16::/64 via 2001:db8::2",
      ]
    ) await world.ip(command);
    const before = await world.routes();
    await world.reconciler.reconcile();
    assert.deepEqual(await world.routes(), before);
    world.reconciler.setDesired(
      wish("172.16.4.0/22 via 198.18.0.2", "172.16.8.0/22 via 198.18.0.3"),
    );
    await world.settle([
      "172.16.4.0/22 via 198.18.0.2 dev up0 proto 83",
      "172.16.8.0/22 via 198.18.0.3 dev up0 proto 83",
      "172.16.16.0/22 via 198.18.0.2 dev up0 proto 82",
      "fd00:16::/64 via 2001:db8::2 dev up0",
      "172.16.4.0/22: installed",
      "172.16.8.0/22: installed",
    ]);
    assert.equal(world.report.repaired.count, 0);
  });

  test("a new next hop leaves exactly one route, through it", async (world) => {
    for (const host of [2, 3, 2]) {
      world.reconciler.setDesired(wish(
        `172.16.4.0/22 via 198.18.0.${host}`,
        `fd00:4::/64 via 2001:db8::${host}`,
      ));
      await world.settle([
        `172.16.4.0/22 via 198.18.0.${host} dev up0 proto 83`,
        `fd00:4::/64 via 2001:db8::${host} dev up0 proto 83`,
        "172.16.4.0/22: installed",
        "fd00:4::/64: installed",
      ]);
    }
    assert.equal(world.report.repaired.count, 0);
  });

  test("a next hop off the link is told, and used when its link comes", async (world) => {
    world.reconciler.setDesired(wish("172.16.4.0/22 via 198.18.1.2"));
    await world.settle(["172.16.4.0/22: off link"]);
    await world.ip("address add 198.18.1.1/24 dev up1");
    onRepaired(
      "a next hop whose link came",
      await world.settle([
        "172.16.4.0/22 via 198.18.1.2 dev up1 proto 83",
        "172.16.4.0/22: installed",
      ]),
    );
    await world.ip("address del 198.18.1.1/24 dev up1");
    await world.settle(["172.16.4.0/22: off link"]);
  });

  test("a route follows its next hop to another interface", async (world) => {
    world.reconciler.setDesired(wish("172.16.4.0/22 via 198.18.0.2"));
    await world.settle([
      "172.16.4.0/22 via 198.18.0.2 dev up0 proto 83",
      "172.16.4.0/22: installed",
    ]);
    // The address that is left keeps the route in place that has no next hop now.
    await world.ip("address add 198.18.5.1/24 dev up0");
    await world.ip("address del 198.18.0.1/24 dev up0");
    await world.ip("address add 198.18.0.1/24 dev up1");
    await world.settle([
      "172.16.4.0/22 via 198.18.0.2 dev up1 proto 83",
      "172.16.4.0/22: installed",
    ]);
  });

  test("a next hop that is this host needs no route", async (world) => {
    world.reconciler.setDesired(wish(
      "172.16.4.0/22 via 198.18.0.1",
      "fd00:4::/64 via 2001:db8::1",
    ));
    await world.settle(["172.16.4.0/22: local", "fd00:4::/64: local"]);
  });

  test("a route that the kernel refuses does not stop the others", async (world) => {
    world.reconciler.setDesired(wish(
      "172.16.4.0/22 via 198.18.0.255",
      "172.16.8.0/22 via 198.18.0.3",
    ));
    await world.settle([
      "172.16.8.0/22 via 198.18.0.3 dev up0 proto 83",
      "172.16.4.0/22: failed",
      "172.16.8.0/22: installed",
    ]);
    assert.equal(
      world.report.error,
      "Cannot add 172.16.4.0/22 via 198.18.0.255 dev up0: Error: Nexthop has invalid gateway.",
    );
    world.reconciler.setDesired(wish("172.16.8.0/22 via 198.18.0.3"));
    await world.settle([
      "172.16.8.0/22 via 198.18.0.3 dev up0 proto 83",
      "172.16.8.0/22: installed",
    ]);
    assert.equal(world.report.error, undefined);
  });

  test("stop() leaves routes in place, removeAll() takes ours alone", async (world) => {
    await world.ip("route add 172.16.16.0/22 via 198.18.0.2");
    const own = "172.16.4.0/22 via 198.18.0.2 dev up0 proto 83";
    const foreign = "172.16.16.0/22 via 198.18.0.2 dev up0";
    world.reconciler.setDesired(wish("172.16.4.0/22 via 198.18.0.2"));
    await world.settle([own, foreign, "172.16.4.0/22: installed"]);
    await world.stop();
    assert.deepEqual(await world.routes(), [own, foreign]);
    const report = await world.reconciler.removeAll();
    assert.deepEqual(report.operations, []);
    assert.deepEqual(await world.routes(), [foreign]);
  });

  test(`${many} routes come, come back, change and go`, async (world) => {
    const routes = (host: number) =>
      wish(...Array.from(
        { length: many },
        (_, i) => `10.${i >> 8}.${i & 255}.0/24 via 198.18.0.${host + i % 100}`,
      ));
    world.reconciler.setDesired(routes(2));
    onRepaired(`${many} new routes`, await world.settleCount(many));
    await world.ip("-4 route flush proto 83");
    onRepaired(`${many} routes flushed`, await world.settleCount(many));
    world.reconciler.setDesired(routes(102));
    const report = await world.reconciler.reconcile();
    assert.deepEqual(report.counts, {
      wanted: many,
      installed: many,
      conflicts: 0,
      unresolved: 0,
    });
    assert.equal((await world.routes()).length, many);
    await world.reconciler.removeAll();
    assert.deepEqual(await world.routes(), []);
  });
}
