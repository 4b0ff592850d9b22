import assert from "node:assert/strict";
import { explainRoute } from "../../src/routes/plan/route_plan.ts";
import {
  type RouteSuiteOptions,
  type RouteTest,
  wish,
} from "./route_suite_world.ts";

const WISH = wish(
  "172.16.4.0/22 via 198.18.0.2",
  "fd00:4::/64 via 2001:db8::2",
);
const OWN_IPV4 = "172.16.4.0/22 via 198.18.0.2 dev up0 proto 83";
const OWN_IPV6 = "fd00:4::/64 via 2001:db8::2 dev up0 proto 83";
const INSTALLED = ["172.16.4.0/22: installed", "fd00:4::/64: installed"];

/** What an operator adds, the routes then, and how the operator removes it. */
const IN_THE_WAY: readonly {
  readonly command: string;
  readonly family: 4 | 6;
  readonly route: string;
  readonly undo: string;
}[] = [
  {
    command: "route replace 172.16.4.0/22 via 198.18.0.77",
    family: 4,
    route: "172.16.4.0/22 via 198.18.0.77 dev up0",
    undo: "route del 172.16.4.0/22",
  },
  {
    command: "route append 172.16.4.0/22 via 198.18.0.77",
    family: 4,
    route: "172.16.4.0/22 via 198.18.0.77 dev up0",
    undo: "route del 172.16.4.0/22",
  },
  {
    command: "route add 172.16.4.0/22 via 198.18.0.77 metric 50",
    family: 4,
    route: "172.16.4.0/22 via 198.18.0.77 dev up0 metric 50",
    undo: "route del 172.16.4.0/22",
  },
  {
    command: "route add blackhole 172.16.4.0/22 proto static metric 9",
    family: 4,
    route: "blackhole 172.16.4.0/22 proto static metric 9",
    undo: "route del blackhole 172.16.4.0/22",
  },
  {
    command: "route append fd00:4::/64 via 2001:db8::77",
    family: 6,
    route: "fd00:4::/64 via 2001:db8::77 dev up0",
    undo: "route del fd00:4::/64",
  },
  {
    command: "route add fd00:4::/64 via 2001:db8::77 metric 2000",
    family: 6,
    route: "fd00:4::/64 via 2001:db8::77 dev up0 metric 2000",
    undo: "route del fd00:4::/64",
  },
];

/** Routes that others made stay as they are. */
export function testRouteConflicts(
  test: RouteTest,
  { onRepaired }: Pick<RouteSuiteOptions, "onRepaired">,
): void {
  for (const { command, family, route, undo } of IN_THE_WAY) {
    test(`"${command}" stays, and is shown as a conflict`, async (world) => {
      world.reconciler.setDesired(WISH);
      await world.settle([OWN_IPV4, OWN_IPV6, ...INSTALLED]);
      await world.ip(command);
      await world.settle(
        family === 4
          ? [route, OWN_IPV6, "172.16.4.0/22: conflict", INSTALLED[1]!]
          : [OWN_IPV4, route, INSTALLED[0]!, "fd00:4::/64: conflict"],
      );
      const { routes, counts, operations } = await world.reconciler.reconcile();
      assert.deepEqual(counts, {
        wanted: 2,
        installed: 1,
        conflicts: 1,
        unresolved: 0,
      });
      assert.deepEqual(operations, []);
      assert.equal(
        explainRoute(routes[family === 4 ? 0 : 1]!),
        `another route is there and stays: ${route}; ours comes when it is removed`,
      );
      await world.ip(undo);
      onRepaired(
        "a route whose conflict was removed",
        await world.settle([OWN_IPV4, OWN_IPV6, ...INSTALLED]),
      );
    });
  }

  test("a prefix that this host has itself stays with it", async (world) => {
    await world.ip("address add 172.16.4.1/22 dev up1");
    world.reconciler.setDesired(WISH);
    await world.settle([OWN_IPV6, "172.16.4.0/22: conflict", INSTALLED[1]!]);
  });

  test("a route for one type of service is none of our business", async (world) => {
    await world.ip("route add 172.16.4.0/22 via 198.18.0.77 tos 0x10");
    world.reconciler.setDesired(WISH.slice(0, 1));
    const { counts } = await world.reconciler.reconcile();
    assert.equal(counts.installed, 1);
    assert.deepEqual((await world.routes()).toSorted(), [
      "172.16.4.0/22 tos 0x10 via 198.18.0.77 dev up0",
      OWN_IPV4,
    ]);
  });

  test("more specific and wider routes of others are no conflict", async (world) => {
    for (
      const command of [
        "route add 172.16.0.0/12 via 198.18.0.77",
        "route add 172.16.4.0/24 via 198.18.0.77",
      ]
    ) await world.ip(command);
    world.reconciler.setDesired(WISH);
    await world.settle([
      "172.16.0.0/12 via 198.18.0.77 dev up0",
      OWN_IPV4,
      "172.16.4.0/24 via 198.18.0.77 dev up0",
      OWN_IPV6,
      ...INSTALLED,
    ]);
  });
}
