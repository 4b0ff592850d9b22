import assert from "node:assert/strict";
import type { RouteTest } from "./route_suite_world.ts";

/** What an operator types, whether it is carried out, and the routes after it. */
type Row = readonly [
  command: string,
  outcome: "done" | "refused",
  routes: readonly string[],
];

/**
 * What the agent builds on, of a kernel and the `ip` in front of it. A fake
 * that passes this is one to be trusted with the rest.
 */
export function testRouteKernel(test: RouteTest): void {
  test("IPv4 routes are added, replaced and deleted as Linux does", (world) =>
    check(world, [
      ["route add 172.16.4.0/22 via 198.18.0.2 proto 83", "done", [
        "172.16.4.0/22 via 198.18.0.2 dev up0 proto 83",
      ]],
      ["route add 172.16.4.0/22 via 198.18.0.3 proto 83", "refused", [
        "172.16.4.0/22 via 198.18.0.2 dev up0 proto 83",
      ]],
      ["route add 172.16.4.0/22 via 198.18.0.3 metric 50", "done", [
        "172.16.4.0/22 via 198.18.0.2 dev up0 proto 83",
        "172.16.4.0/22 via 198.18.0.3 dev up0 metric 50",
      ]],
      // Whoever made it: that is why the agent does not use it.
      ["route replace 172.16.4.0/22 via 198.18.0.4", "done", [
        "172.16.4.0/22 via 198.18.0.4 dev up0",
        "172.16.4.0/22 via 198.18.0.3 dev up0 metric 50",
      ]],
      ["route del 172.16.4.0/22 proto 83", "refused", [
        "172.16.4.0/22 via 198.18.0.4 dev up0",
        "172.16.4.0/22 via 198.18.0.3 dev up0 metric 50",
      ]],
      ["route append 172.16.4.0/22 via 198.18.0.5 proto 83", "done", [
        "172.16.4.0/22 via 198.18.0.4 dev up0",
        "172.16.4.0/22 via 198.18.0.5 dev up0 proto 83",
        "172.16.4.0/22 via 198.18.0.3 dev up0 metric 50",
      ]],
      ["route del 172.16.4.0/22 via 198.18.0.5 dev up0 proto 83", "done", [
        "172.16.4.0/22 via 198.18.0.4 dev up0",
        "172.16.4.0/22 via 198.18.0.3 dev up0 metric 50",
      ]],
      ["route del 172.16.4.0/22 metric 50", "done", [
        "172.16.4.0/22 via 198.18.0.4 dev up0",
      ]],
      ["route replace blackhole 172.16.4.0/22", "done", [
        "blackhole 172.16.4.0/22",
      ]],
      ["route del blackhole 172.16.4.0/22", "done", []],
    ]));

  test("IPv6 routes are added, replaced and deleted as Linux does", (world) =>
    check(world, [
      ["route add fd00:4::/64 via 2001:db8::2 proto 83", "done", [
        "fd00:4::/64 via 2001:db8::2 dev up0 proto 83",
      ]],
      ["route add fd00:4::/64 via 2001:db8::3 proto 83", "refused", [
        "fd00:4::/64 via 2001:db8::2 dev up0 proto 83",
      ]],
      // One route with two ways, shown with the protocol of the first.
      ["route append fd00:4::/64 via 2001:db8::3", "done", [
        "fd00:4::/64 proto 83 nexthop via 2001:db8::2 dev up0 nexthop via 2001:db8::3 dev up0",
      ]],
      ["route del fd00:4::/64 via 2001:db8::3 proto 83", "refused", [
        "fd00:4::/64 proto 83 nexthop via 2001:db8::2 dev up0 nexthop via 2001:db8::3 dev up0",
      ]],
      ["route del fd00:4::/64 via 2001:db8::2 proto 83 metric 1024", "done", [
        "fd00:4::/64 via 2001:db8::3 dev up0",
      ]],
      ["route replace fd00:4::/64 via 2001:db8::4 proto 83", "done", [
        "fd00:4::/64 via 2001:db8::4 dev up0 proto 83",
      ]],
      ["route add fd00:4::/64 via 2001:db8::5 metric 1025", "done", [
        "fd00:4::/64 via 2001:db8::4 dev up0 proto 83",
        "fd00:4::/64 via 2001:db8::5 dev up0 metric 1025",
      ]],
      ["route del fd00:4::/64 proto 4", "refused", [
        "fd00:4::/64 via 2001:db8::4 dev up0 proto 83",
        "fd00:4::/64 via 2001:db8::5 dev up0 metric 1025",
      ]],
    ]));

  test("IPv6 deletions take what they do not name, but for a nexthop", (world) =>
    check(world, [
      ["route add fd00:4::/64 via 2001:db8::2", "done", [
        "fd00:4::/64 via 2001:db8::2 dev up0",
      ]],
      ["route append fd00:4::/64 via 2001:db8::3 proto 83", "done", [
        "fd00:4::/64 nexthop via 2001:db8::2 dev up0 nexthop via 2001:db8::3 dev up0",
      ]],
      ["route append fd00:4::/64 dev up0 proto 83", "done", [
        "fd00:4::/64 nexthop via 2001:db8::2 dev up0 nexthop via 2001:db8::3 dev up0",
        "fd00:4::/64 dev up0 proto 83",
      ]],
      ["route append blackhole fd00:4::/64 proto 83", "done", [
        "fd00:4::/64 nexthop via 2001:db8::2 dev up0 nexthop via 2001:db8::3 dev up0",
        "fd00:4::/64 dev up0 proto 83",
        "blackhole fd00:4::/64 dev lo proto 83",
      ]],
      [
        "route del fd00:4::/64 proto 83 metric 1024 nexthop dev lo",
        "done",
        [
          "fd00:4::/64 nexthop via 2001:db8::2 dev up0 nexthop via 2001:db8::3 dev up0",
          "fd00:4::/64 dev up0 proto 83",
        ],
      ],
      // Both ways go, though one is not of protocol 83.
      ["route del blackhole fd00:4::/64 proto 83 metric 1024", "done", [
        "fd00:4::/64 dev up0 proto 83",
      ]],
      ["route append fd00:4::/64 via 2001:db8::2", "done", [
        "fd00:4::/64 dev up0 proto 83",
        "fd00:4::/64 via 2001:db8::2 dev up0",
      ]],
      [
        "route del fd00:4::/64 proto 83 metric 1024 nexthop dev up0",
        "done",
        ["fd00:4::/64 via 2001:db8::2 dev up0"],
      ],
      [
        "route del fd00:4::/64 proto 83 metric 1024 nexthop dev up0",
        "refused",
        ["fd00:4::/64 via 2001:db8::2 dev up0"],
      ],
    ]));

  test("next hops that are not on link are refused", (world) =>
    check(world, [
      ["route add 172.16.4.0/22 via 198.18.9.2 proto 83", "refused", []],
      ["route add 172.16.4.0/22 via 198.18.0.2 dev up1", "refused", []],
      ["route add 172.16.4.0/22 via 198.18.0.2 dev none", "refused", []],
      ["route add fd00:4::/64 via 2001:db8:9::2 proto 83", "refused", []],
      ["route add fd00:4::/64 via 2001:db8::1 proto 83", "refused", []],
      // Which is why it is never asked for.
      ["route add 172.16.4.0/22 via 198.18.9.2 dev up0 onlink", "done", [
        "172.16.4.0/22 via 198.18.9.2 dev up0 onlink",
      ]],
      ["route del 172.16.4.0/22", "done", []],
      ["route del 172.16.4.0/22", "refused", []],
      ["route add 198.18.7.0/24 dev up0", "done", [
        "198.18.7.0/24 dev up0",
      ]],
      ["route add 172.16.4.0/22 via 198.18.7.2", "done", [
        "172.16.4.0/22 via 198.18.7.2 dev up0",
        "198.18.7.0/24 dev up0",
      ]],
    ]));

  test("routes go with their link, and with the last address of it", (world) =>
    check(world, [
      ["address add 198.18.1.1/24 dev up1", "done", []],
      ["route add 172.16.4.0/22 via 198.18.0.2 proto 83", "done", [
        "172.16.4.0/22 via 198.18.0.2 dev up0 proto 83",
      ]],
      ["route add fd00:4::/64 via 2001:db8::2 proto 83", "done", [
        "172.16.4.0/22 via 198.18.0.2 dev up0 proto 83",
        "fd00:4::/64 via 2001:db8::2 dev up0 proto 83",
      ]],
      ["route add 172.16.8.0/22 via 198.18.1.2 proto 83", "done", [
        "172.16.4.0/22 via 198.18.0.2 dev up0 proto 83",
        "172.16.8.0/22 via 198.18.1.2 dev up1 proto 83",
        "fd00:4::/64 via 2001:db8::2 dev up0 proto 83",
      ]],
      ["link set far0 down", "done", [
        "172.16.4.0/22 via 198.18.0.2 dev up0 linkdown proto 83",
        "172.16.8.0/22 via 198.18.1.2 dev up1 proto 83",
        "fd00:4::/64 via 2001:db8::2 dev up0 linkdown proto 83",
      ]],
      ["link set up0 down", "done", [
        "172.16.8.0/22 via 198.18.1.2 dev up1 proto 83",
      ]],
      ["link set up0 up", "done", [
        "172.16.8.0/22 via 198.18.1.2 dev up1 proto 83",
      ]],
      ["address add 198.18.2.9/24 dev up1", "done", [
        "172.16.8.0/22 via 198.18.1.2 dev up1 proto 83",
      ]],
      ["address del 198.18.1.1/24 dev up1", "done", [
        "172.16.8.0/22 via 198.18.1.2 dev up1 proto 83",
      ]],
      ["address del 198.18.2.9/24 dev up1", "done", []],
      ["route add 172.16.8.0/22 via 198.18.1.2 proto 83", "refused", []],
      ["address add 198.18.1.1/24 dev up1", "done", []],
      ["route add 172.16.8.0/22 via 198.18.1.2 proto 83", "done", [
        "172.16.8.0/22 via 198.18.1.2 dev up1 proto 83",
      ]],
      ["-4 route flush proto 83", "done", []],
    ]));
}

async function check(
  world: Parameters<Parameters<RouteTest>[1]>[0],
  rows: readonly Row[],
): Promise<void> {
  for (const [command, outcome, routes] of rows) {
    const done = await world.try(command);
    assert.equal(done ? "done" : "refused", outcome, `ip ${command}`);
    assert.deepEqual(await world.routes(), routes, `after ip ${command}`);
  }
}
