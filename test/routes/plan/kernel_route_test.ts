import assert from "node:assert/strict";
import { parseKernelRoutes } from "../../../src/routes/plan/ip_json.ts";
import {
  claimProtocol,
  formatKernelRoute,
  parseRouteProtocol,
} from "../../../src/routes/plan/kernel_route.ts";

/** A route as `ip -N -json` prints it, and as people read it. */
const ROUTES: readonly (readonly [
  json: Readonly<Record<string, unknown>>,
  text: string,
])[] = [
  [
    { dst: "10.1.0.0/24", gateway: "192.0.2.2", dev: "eth0", flags: [] },
    "10.1.0.0/24 via 192.0.2.2 dev eth0",
  ],
  [
    {
      dst: "default",
      gateway: "192.0.2.1",
      dev: "eth0",
      protocol: "16",
      metric: 100,
    },
    "0.0.0.0/0 via 192.0.2.1 dev eth0 proto dhcp metric 100",
  ],
  [{ dst: "10.1.0.9", dev: "tun0", scope: "253" }, "10.1.0.9/32 dev tun0"],
  [
    { dst: "192.0.2.0/24", dev: "eth0", protocol: "2", prefsrc: "192.0.2.7" },
    "192.0.2.0/24 dev eth0 proto kernel src 192.0.2.7",
  ],
  [{ type: "6", dst: "10.2.0.0/16" }, "blackhole 10.2.0.0/16"],
  [{ type: "blackhole", dst: "10.2.0.0/16" }, "blackhole 10.2.0.0/16"],
  [{ type: "77", dst: "10.2.0.0/16" }, "77 10.2.0.0/16"],
  [
    {
      dst: "10.3.0.0/16",
      tos: "0x10",
      gateway: "192.0.2.2",
      dev: "eth0",
      protocol: "83",
    },
    "10.3.0.0/16 tos 0x10 via 192.0.2.2 dev eth0 proto 83",
  ],
  [
    {
      dst: "10.4.0.0/16",
      flags: [],
      nexthops: [
        { gateway: "192.0.2.2", dev: "eth0", weight: 1, flags: [] },
        {
          gateway: "192.0.2.3",
          dev: "eth1",
          weight: 1,
          flags: ["dead", "linkdown"],
        },
      ],
    },
    "10.4.0.0/16 nexthop via 192.0.2.2 dev eth0 nexthop via 192.0.2.3 dev eth1 dead linkdown",
  ],
  [
    {
      dst: "10.5.0.0/16",
      via: { family: "inet6", host: "fe80::1" },
      dev: "eth0",
      flags: ["onlink"],
    },
    "10.5.0.0/16 via fe80::1 dev eth0 onlink",
  ],
  [
    {
      dst: "10.6.0.0/16",
      nhid: 7,
      gateway: "192.0.2.2",
      dev: "eth0",
      metrics: [{ mtu: 1400 }],
    },
    "10.6.0.0/16 via 192.0.2.2 dev eth0 nhid 7 mtu 1400",
  ],
  [
    {
      dst: "fd00:4::/64",
      gateway: "2001:db8::2",
      dev: "eth0",
      protocol: 83,
      metric: 1024,
    },
    "fd00:4::/64 via 2001:db8::2 dev eth0 proto 83",
  ],
  [
    {
      type: "7",
      dst: "default",
      dev: "lo",
      protocol: "kernel",
      metric: 4294967295,
      pref: "medium",
    },
    "unreachable ::/0 dev lo proto kernel metric 4294967295",
  ],
  [
    { dst: "fd00:5::1", dev: "eth0", protocol: "our-own", metric: 1024 },
    "fd00:5::1/128 dev eth0 proto unknown",
  ],
];

Deno.test("parseKernelRoutes() and formatKernelRoute() keep what ip shows", async (t) => {
  for (const [json, text] of ROUTES) {
    await t.step(text, () => {
      const routes = parseKernelRoutes(JSON.stringify([json]));
      assert.deepEqual(routes.map(formatKernelRoute), [text]);
    });
  }
});

Deno.test("parseKernelRoutes() leaves out other tables, and what is no destination of containers", () => {
  const text = JSON.stringify([
    { type: "2", dst: "192.0.2.7", dev: "eth0", table: "255" },
    { dst: "10.9.0.0/16", dev: "eth0", table: "mine" },
    { type: "unreachable", dst: "::ffff:0.0.0.0/96", dev: "lo" },
    { dst: "fd00:4::/64", dev: "eth0", metric: 256 },
    {},
  ]);
  assert.deepEqual(parseKernelRoutes(text).map(formatKernelRoute), [
    "fd00:4::/64 dev eth0 metric 256",
  ]);
  assert.deepEqual(parseKernelRoutes(""), []);
  assert.throws(() => parseKernelRoutes("["), SyntaxError);
});

Deno.test("parseRouteProtocol() takes numbers that nobody else uses", () => {
  const texts = ["5", "83", "185", "255"];
  assert.deepEqual(texts.map(parseRouteProtocol), [5, 83, 185, 255]);
});

Deno.test("parseRouteProtocol() refuses other numbers, naming their users", async (t) => {
  const range = "is not a whole number from 5 to 255";
  const rows: readonly [text: string, said: string][] = [
    ["", range],
    ["0", range],
    ["4", range],
    ["256", range],
    ["083", range],
    ["8.3", range],
    ["bird", range],
    ["12", "marks the routes of bird: choose a number"],
    ["18", "marks the routes of keepalived"],
    ["186", "marks the routes of bgp"],
  ];
  for (const [text, said] of rows) {
    await t.step(text, () => {
      assert.throws(() => parseRouteProtocol(text), (error) => {
        assert.ok(error instanceof RangeError);
        assert.ok(error.message.startsWith(`"${text}" ${said}`), error.message);
        return true;
      });
    });
  }
});

Deno.test("claimProtocol() takes a number once, and names the next free one", async (t) => {
  const rows: readonly [
    taken: readonly number[],
    protocol: number,
    advice: string | undefined,
  ][] = [
    [[], 83, undefined],
    [[84], 83, undefined],
    [[83], 83, "--route-protocol 84"],
    [[83, 84, 85], 83, "--route-protocol 86"],
    // 186 to 189 and 192 are routing daemons, 0 to 4 the kernel and `ip`.
    [[185], 185, "--route-protocol 190"],
    [[255], 255, "--route-protocol 5"],
    [Array.from({ length: 256 }, (_, i) => i), 83, "--routes off"],
  ];
  for (const [taken, protocol, advice] of rows) {
    await t.step(`${protocol}, ${taken.length} taken`, () => {
      const names = new Set(taken.map((number) => `route-protocol-${number}`));
      const locks = {
        take: (name: string) => !names.has(name) && names.add(name) === names,
        isTaken: (name: string) => names.has(name),
      };
      if (advice === undefined) {
        claimProtocol(protocol, locks);
        assert.ok(names.has(`route-protocol-${protocol}`));
        assert.throws(() => claimProtocol(protocol, locks));
      } else {
        assert.throws(() => claimProtocol(protocol, locks), {
          code: "failed_precondition",
          message:
            `Cannot change routes: another agent in this network namespace marks its routes with protocol ${protocol}; start this one with "${advice}"`,
        });
      }
    });
  }
});
