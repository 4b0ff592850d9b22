import assert from "node:assert/strict";
import {
  type RouteSuiteOptions,
  type RouteTest,
  type RouteWorld,
  wish,
} from "./route_suite_world.ts";

const WISH = wish(
  "172.16.4.0/22 via 198.18.0.2",
  "172.16.8.0/22 via 198.18.0.3",
  "fd00:4::/64 via 2001:db8::2",
);
const ROUTES = [
  "172.16.4.0/22 via 198.18.0.2 dev up0 proto 83",
  "172.16.8.0/22 via 198.18.0.3 dev up0 proto 83",
  "fd00:4::/64 via 2001:db8::2 dev up0 proto 83",
];
const STATES = [
  "172.16.4.0/22: installed",
  "172.16.8.0/22: installed",
  "fd00:4::/64: installed",
];
const SETTLED = [...ROUTES, ...STATES];

/** Commands, by what they do, that spoil what the agent made. */
const DAMAGE:
  readonly (readonly [name: string, commands: readonly string[]])[] = [
    ["a route deleted", ["route del 172.16.4.0/22"]],
    ["an IPv6 route deleted", ["route del fd00:4::/64"]],
    ["routes flushed", ["-4 route flush proto 83", "-6 route flush proto 83"]],
    ["a route led elsewhere", [
      "route replace 172.16.4.0/22 via 198.18.0.9 proto 83",
    ]],
    ["an IPv6 route led elsewhere", [
      "route replace fd00:4::/64 via 2001:db8::9 proto 83",
    ]],
    ["a route of ours nobody wants", [
      "route add 172.16.12.0/22 via 198.18.0.9 proto 83",
    ]],
    ["a second route of ours", [
      "route add 172.16.4.0/22 via 198.18.0.9 proto 83 metric 50",
    ]],
    ["a second route of ours behind the first", [
      "route append 172.16.4.0/22 via 198.18.0.9 proto 83",
    ]],
    ["a second way of our IPv6 route", [
      "route append fd00:4::/64 via 2001:db8::9 proto 83",
    ]],
    ["a blackhole with our mark", [
      "route replace blackhole 172.16.4.0/22 proto 83",
      "route add blackhole 172.16.12.0/22 proto 83",
      "route add blackhole fd00:5::/64 proto 83",
    ]],
    ["an IPv4 multipath with our mark", [
      "route replace 172.16.4.0/22 proto 83 nexthop via 198.18.0.2 nexthop via 198.18.0.9",
    ]],
    ["a route of ours for one type of service", [
      "route add 172.16.4.0/22 via 198.18.0.2 proto 83 tos 0x10",
    ]],
    ["a next hop taken for on link", [
      "route replace 172.16.4.0/22 via 198.18.0.2 dev up0 proto 83 onlink",
    ]],
  ];

/** Whatever happens to the agent's routes, they come back. */
export function testRouteRepair(
  test: RouteTest,
  { onRepaired }: Pick<RouteSuiteOptions, "onRepaired">,
): void {
  for (const [name, commands] of DAMAGE) {
    test(`${name} is put right`, async (world) => {
      world.reconciler.setDesired(WISH);
      await world.settle(SETTLED);
      for (const command of commands) await world.ip(command);
      assert.notDeepEqual(await world.routes(), ROUTES);
      onRepaired(name, await world.settle(SETTLED));
      await expectRepairs(world);
    });
  }

  test("routes come back with a link that was down", async (world) => {
    world.reconciler.setDesired(WISH);
    await world.settle(SETTLED);
    await world.ip("link set up0 down");
    await world.settle([
      "172.16.4.0/22: link down",
      "172.16.8.0/22: link down",
      "fd00:4::/64: off link",
    ]);
    await world.ip("link set up0 up");
    onRepaired(
      "a link that was down",
      await world.settle([
        ...ROUTES.slice(0, 2),
        ...STATES.slice(0, 2),
        "fd00:4::/64: off link",
      ]),
    );
    await world.ip("address add 2001:db8::1/64 dev up0 nodad");
    onRepaired("an IPv6 address that was gone", await world.settle(SETTLED));
    await expectRepairs(world, { "next hop back": 3 });
  });

  test("routes stay while the other end of a link is down", async (world) => {
    world.reconciler.setDesired(WISH);
    await world.settle(SETTLED);
    await world.ip("link set far0 down");
    const withoutCarrier = ROUTES.map((route) =>
      route.replace("dev up0", "dev up0 linkdown")
    );
    await world.settle([...withoutCarrier, ...STATES]);
    assert.ok(
      (await world.reconciler.reconcile()).routes.every(({ state }) =>
        state.kind === "installed" && !state.hasCarrier
      ),
    );
    await world.ip("link set far0 up");
    await world.settle(SETTLED);
  });
}

/** Checks that repairs were counted, for causes if any are given, and that all is well. */
async function expectRepairs(
  world: RouteWorld,
  byCause?: Readonly<Record<string, number>>,
): Promise<void> {
  const { repaired, operations, error } = await world.reconciler.reconcile();
  assert.ok(repaired.count > 0);
  assert.deepEqual(repaired.byCause, byCause ?? repaired.byCause);
  assert.deepEqual({ operations, error }, { operations: [], error: undefined });
}
