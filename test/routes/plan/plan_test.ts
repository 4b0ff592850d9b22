import assert from "node:assert/strict";
import { parsePrefix } from "../../../src/net/prefix.ts";
import {
  describeOperation,
  formatCommands,
} from "../../../src/routes/plan/ip_batch.ts";
import {
  countRoutes,
  explainRoute,
  planRoutes,
} from "../../../src/routes/plan/route_plan.ts";
import type { DesiredRoute } from "../../../src/routes/plan/desired_route.ts";
import { createFakeHost, desire, PROTOCOL, readKernel } from "./kernels.ts";

const WISH = "172.16.4.0/22 via 198.18.0.2";
const WISH_IPV6 = "fd00:4::/64 via 2001:db8::2";

interface Row {
  readonly name: string;
  /** What is there, beside the host's own. */
  readonly commands?: readonly string[];
  readonly desired: readonly string[];
  readonly unreachable?: readonly string[];
  /** The state of each desired route, and what people are told. */
  readonly states: readonly (readonly [kind: string, why: string])[];
  readonly operations: readonly string[];
}

const ROWS: readonly Row[] = [
  {
    name: "unreachable prefixes missing, one with a route of others",
    commands: ["route add 172.16.0.0/12 via 198.18.0.77"],
    unreachable: ["172.16.0.0/22", "172.16.0.0/12", "fd00::/48"],
    desired: [],
    states: [],
    operations: [
      "add unreachable 172.16.0.0/22",
      "add unreachable 172.16.0.0/12",
      "add unreachable fd00::/48",
    ],
  },
  {
    name: "unreachable prefixes installed, one of them twice",
    commands: [
      "route add unreachable 172.16.0.0/12 proto 83 metric 4000000",
      "route add unreachable 172.16.0.0/12 proto 83 metric 9",
      "route add unreachable fd00::/48 proto 83 metric 4000000",
      "route add blackhole 172.16.0.0/22 proto 83 metric 4000000",
    ],
    unreachable: ["172.16.0.0/22", "172.16.0.0/12", "fd00::/48"],
    desired: [],
    states: [],
    operations: [
      "lead unreachable 172.16.0.0/22 (was blackhole 172.16.0.0/22 proto 83 metric 4000000)",
      "remove unreachable 172.16.0.0/12 proto 83 metric 9 (duplicate)",
    ],
  },
  {
    name: "unreachable prefixes that are unreachable no longer",
    commands: [
      "route add unreachable 172.16.0.0/12 proto 83 metric 4000000",
      "route add unreachable fd00::/48 proto 83 metric 4000000",
    ],
    desired: [],
    states: [],
    operations: [
      "remove unreachable 172.16.0.0/12 proto 83 metric 4000000 (not wanted)",
      "remove unreachable fd00::/48 dev lo proto 83 metric 4000000 (not wanted)",
    ],
  },
  {
    name: "an unreachable prefix that an extra route has",
    unreachable: ["172.16.4.0/22"],
    desired: [WISH],
    states: [["pending", "it is not in the kernel yet"]],
    operations: ["add 172.16.4.0/22 via 198.18.0.2 dev up0"],
  },
  {
    name: "nothing there, nothing wanted",
    desired: [],
    states: [],
    operations: [],
  },
  {
    name: "missing",
    desired: [WISH, WISH_IPV6],
    states: [
      ["pending", "it is not in the kernel yet"],
      ["pending", "it is not in the kernel yet"],
    ],
    operations: [
      "add 172.16.4.0/22 via 198.18.0.2 dev up0",
      "add fd00:4::/64 via 2001:db8::2 dev up0",
    ],
  },
  {
    name: "installed",
    commands: [
      "route add 172.16.4.0/22 via 198.18.0.2 proto 83",
      "route add fd00:4::/64 via 2001:db8::2 proto 83",
    ],
    desired: [WISH, WISH_IPV6],
    states: [
      ["installed", "it is in the kernel"],
      ["installed", "it is in the kernel"],
    ],
    operations: [],
  },
  {
    name: "installed on a link without carrier",
    commands: [
      "route add 172.16.4.0/22 via 198.18.0.2 proto 83",
      "link set far0 down",
    ],
    desired: [WISH],
    states: [
      ["installed", "it is in the kernel, but up0 has no carrier"],
    ],
    operations: [],
  },
  {
    name: "another next hop",
    commands: ["route add 172.16.4.0/22 via 198.18.0.9 proto 83"],
    desired: [WISH],
    states: [[
      "pending",
      "the kernel has 172.16.4.0/22 via 198.18.0.9 dev up0 proto 83",
    ]],
    operations: [
      "lead 172.16.4.0/22 via 198.18.0.2 dev up0 (was 172.16.4.0/22 via 198.18.0.9 dev up0 proto 83)",
    ],
  },
  {
    name: "another metric",
    commands: ["route add 172.16.4.0/22 via 198.18.0.2 proto 83 metric 9"],
    desired: [WISH],
    states: [[
      "pending",
      "the kernel has 172.16.4.0/22 via 198.18.0.2 dev up0 proto 83 metric 9",
    ]],
    operations: [
      "add 172.16.4.0/22 via 198.18.0.2 dev up0",
      "remove 172.16.4.0/22 via 198.18.0.2 dev up0 proto 83 metric 9 (duplicate)",
    ],
  },
  {
    name: "stale, and somebody else's",
    commands: [
      "route add 172.16.8.0/22 via 198.18.0.2 proto 83",
      "route add 172.16.12.0/22 via 198.18.0.2 proto 84",
    ],
    desired: [],
    states: [],
    operations: [
      "remove 172.16.8.0/22 via 198.18.0.2 dev up0 proto 83 (not wanted)",
    ],
  },
  {
    name: "in the way, with ours beside",
    commands: [
      "route add 172.16.4.0/22 via 198.18.0.2 proto 83",
      "route add 172.16.4.0/22 via 198.18.0.77 proto static metric 20",
    ],
    desired: [WISH],
    states: [[
      "conflict",
      "another route is there and stays: 172.16.4.0/22 via 198.18.0.77 dev up0 proto static metric 20; ours comes when it is removed",
    ]],
    operations: [
      "remove 172.16.4.0/22 via 198.18.0.2 dev up0 proto 83 (gives way)",
    ],
  },
  {
    name: "off link, with ours left over",
    commands: [
      "route add 172.16.4.0/22 via 198.18.9.2 dev up0 onlink proto 83",
    ],
    desired: ["172.16.4.0/22 via 198.18.9.2", "fd00:4::/64 via fe80::2"],
    states: [
      [
        "off link",
        "198.18.9.2 is on no directly connected prefix; there is 198.18.0.0/24 on up0",
      ],
      ["off link", "a link-local address names no link"],
    ],
    operations: [
      "remove 172.16.4.0/22 via 198.18.9.2 dev up0 onlink proto 83 (no next hop)",
    ],
  },
  {
    name: "on a link that is down",
    desired: ["172.16.4.0/22 via 198.18.1.2"],
    states: [
      ["link down", "198.18.1.2 is reached through up1, which is down"],
    ],
    operations: [],
  },
  {
    name: "this host itself, which has the destination",
    commands: ["route add 172.16.4.0/22 dev up0"],
    desired: ["172.16.4.0/22 via 198.18.0.1"],
    states: [
      ["local", "198.18.0.1 is this host itself, on up0: it needs no route"],
    ],
    operations: [],
  },
  {
    name: "wanted twice",
    desired: [WISH, "172.16.4.0/22 via 198.18.0.3"],
    states: [
      ["pending", "it is not in the kernel yet"],
      [
        "duplicate",
        'it leads where 172.16.4.0/22 via 198.18.0.2 (node "b") does, which goes first',
      ],
    ],
    operations: ["add 172.16.4.0/22 via 198.18.0.2 dev up0"],
  },
];

Deno.test("planRoutes() returns the operations and the state of each route", async (t) => {
  for (const row of ROWS) {
    await t.step(row.name, async () => {
      const kernel = await readKernel(await createFakeHost(row.commands));
      const { operations, routes } = planRoutes(
        row.desired.map((text) => desire(text)),
        kernel,
        {
          protocol: PROTOCOL,
          unreachable: (row.unreachable ?? []).map(parsePrefix),
        },
      );
      assert.deepEqual(
        routes.map((status) => [status.state.kind, explainRoute(status)]),
        row.states,
      );
      assert.deepEqual(operations.map(describeOperation), row.operations);
    });
  }
});

Deno.test("planRoutes() leads to commands that people can run", async () => {
  const kernel = await readKernel(
    await createFakeHost([
      "route add 172.16.8.0/22 via 198.18.0.2 proto 83",
      "route add fd00:4::/64 via 2001:db8::9 proto 83",
      "route append fd00:4::/64 via 2001:db8::7 proto 83",
      "route add blackhole fd00:8::/64 proto 83",
      "route add blackhole 172.16.12.0/22 proto 83 metric 7",
      "route add 172.16.16.0/22 proto 83 nexthop via 198.18.0.2 nexthop via 198.18.0.3",
    ]),
  );
  const { operations } = planRoutes([desire(WISH), desire(WISH_IPV6)], kernel, {
    protocol: PROTOCOL,
  });
  assert.deepEqual(operations.flatMap(formatCommands), [
    "ip route add 172.16.4.0/22 via 198.18.0.2 dev up0 proto 83",
    "ip -6 route add fd00:4::/64 via 2001:db8::2 dev up0 proto 83 metric 1025",
    "ip -6 route del fd00:4::/64 via 2001:db8::9 dev up0 proto 83 metric 1024",
    "ip -6 route del fd00:4::/64 via 2001:db8::7 dev up0 proto 83 metric 1024",
    "ip -6 route add fd00:4::/64 via 2001:db8::2 dev up0 proto 83",
    "ip -6 route del fd00:4::/64 via 2001:db8::2 dev up0 proto 83 metric 1025",
    "ip route del 172.16.8.0/22 via 198.18.0.2 dev up0 proto 83",
    "ip route del blackhole 172.16.12.0/22 proto 83 metric 7",
    "ip route del 172.16.16.0/22 proto 83",
    "ip -6 route del fd00:8::/64 proto 83 metric 1024 nexthop dev lo",
  ]);
});

Deno.test("countRoutes() counts routes that are installed, in conflict and unresolved", async () => {
  const kernel = await readKernel(
    await createFakeHost([
      "route add 172.16.4.0/22 via 198.18.0.2 proto 83",
      "route add 172.16.8.0/22 via 198.18.0.2",
    ]),
  );
  const { routes } = planRoutes(
    [
      desire(WISH),
      desire("172.16.8.0/22 via 198.18.0.3"),
      desire("172.16.12.0/22 via 198.18.0.3"),
      desire("172.16.16.0/22 via 198.18.9.3"),
    ],
    kernel,
    { protocol: PROTOCOL },
  );
  assert.deepEqual(countRoutes(routes), {
    wanted: 4,
    installed: 1,
    conflicts: 1,
    unresolved: 2,
  });
});

Deno.test("countRoutes() leaves out extra routes that the host does not need, and no others", async (t) => {
  const kernel = await readKernel(
    await createFakeHost(["route add 172.16.4.0/22 via 198.18.0.2 proto 83"]),
  );
  const local = "via 198.18.0.1";
  const counts = (desired: readonly DesiredRoute[]) =>
    countRoutes(planRoutes(desired, kernel, { protocol: PROTOCOL }).routes);
  const as = (text: string, origin: DesiredRoute["origin"]) => ({
    ...desire(text),
    origin,
  });
  const node = { kind: "node", node: "b" } as const;
  const extra = { kind: "extra" } as const;
  const rows: readonly [string, DesiredRoute, number][] = [
    ["extra, to this host", as(`10.60.0.0/16 ${local}`, extra), 0],
    ["extra, to a taken destination", as(WISH, extra), 0],
    ["extra, to nowhere", as("10.60.0.0/16 via 198.18.9.3", extra), 1],
    ["of a node, to this host", as(`172.16.8.0/22 ${local}`, node), 1],
    ["of a node, to a taken destination", as(WISH, node), 1],
  ];
  for (const [name, route, unresolved] of rows) {
    await t.step(name, () => {
      assert.deepEqual(counts([desire(WISH), route]), {
        wanted: 1 + unresolved,
        installed: 1,
        conflicts: 0,
        unresolved,
      });
    });
  }
});
