import assert from "node:assert/strict";
import { parseAddress } from "../../../src/net/address.ts";
import { createCarve } from "../../../src/net/carve.ts";
import { parsePrefix } from "../../../src/net/prefix.ts";
import {
  type DesiredRoute,
  desiredRoutes,
  formatDesiredRoute,
  RouteGuard,
} from "../../../src/routes/plan/desired_route.ts";
import { createFakeHost, readKernel } from "./kernels.ts";
import type { ClusterNode } from "../../../src/registry/feed.ts";

/** Addresses 198.18.0.1/24 and 2001:db8::1/64 on up0, and those that are added here. */
const COMMANDS = [
  "link add docker0 type veth peer name far2",
  "link set docker0 up",
  "link set far2 up",
  "address add 172.17.0.1/16 dev docker0",
  "address add 10.66.0.1/24 dev docker0",
  "route add 0.0.0.0/0 via 198.18.0.254",
];
const POLICY = {
  networks: [
    createCarve(parsePrefix("172.16.0.0/12")),
    createCarve(parsePrefix("fd00::/48")),
  ],
  registries: [parseAddress("203.0.113.7")],
};

function route(text: string, kind: "node" | "extra"): DesiredRoute {
  const [destination, nextHop] = text.split(" via ");
  return {
    destination: parsePrefix(destination!),
    nextHop: parseAddress(nextHop!),
    origin: kind === "node" ? { kind, node: "b" } : { kind },
  };
}

const NOT_A_SUBNET = "it is not a subnet of a network of this cluster";

const ROWS: readonly [
  text: string,
  kind: "node" | "extra",
  refusal: string | undefined,
][] = [
  ["172.16.4.0/22 via 198.18.0.2", "node", undefined],
  ["fd00:0:0:4::/64 via 2001:db8::2", "node", undefined],
  ["10.9.0.0/16 via 198.18.0.2", "extra", undefined],
  ["10.66.0.0/16 via 198.18.0.2", "extra", undefined],
  ["2001:db8:9::/48 via fe80::2", "extra", undefined],
  // Not a slice.
  ["172.16.4.0/23 via 198.18.0.2", "node", NOT_A_SUBNET],
  ["172.16.0.0/12 via 198.18.0.2", "node", NOT_A_SUBNET],
  ["10.0.0.0/22 via 198.18.0.2", "node", NOT_A_SUBNET],
  ["fd00:0:1::/64 via 2001:db8::2", "node", NOT_A_SUBNET],
  [
    "127.0.0.53/32 via 198.18.0.2",
    "node",
    "it covers addresses of 127.0.0.0/8 (loopback)",
  ],
  // Inside a prefix of this host.
  [
    "172.17.0.0/22 via 198.18.0.2",
    "node",
    'it lies in 172.17.0.0/16, which "docker0" of this host has',
  ],
  [
    "172.17.3.7/32 via 198.18.0.2",
    "extra",
    'it lies in 172.17.0.0/16, which "docker0" of this host has',
  ],
  [
    "198.18.0.9/32 via 198.18.0.2",
    "extra",
    'it lies in 198.18.0.0/24, which "up0" of this host has',
  ],
  [
    "198.18.0.0/24 via 198.18.0.2",
    "extra",
    'it lies in 198.18.0.0/24, which "up0" of this host has',
  ],
  [
    "2001:db8::/64 via fe80::2",
    "extra",
    'it lies in 2001:db8::/64, which "up0" of this host has',
  ],
  // Over the paths to other hosts.
  [
    "0.0.0.0/0 via 198.18.0.2",
    "extra",
    "it covers addresses of 0.0.0.0/8 (this network)",
  ],
  [
    "0.0.0.0/1 via 198.18.0.2",
    "extra",
    "it covers addresses of 0.0.0.0/8 (this network)",
  ],
  [
    "128.0.0.0/1 via 198.18.0.2",
    "extra",
    "it covers addresses of 169.254.0.0/16 (link-local)",
  ],
  [
    "198.18.0.0/16 via 198.18.0.2",
    "extra",
    'it covers 198.18.0.1, an address of "up0" of this host',
  ],
  ["198.19.0.0/16 via 198.18.0.2", "extra", "it covers 198.19.0.5, a next hop"],
  [
    "203.0.113.0/24 via 198.18.0.2",
    "extra",
    "it covers 203.0.113.7, the registry",
  ],
  [
    "203.0.113.7/32 via 198.18.0.2",
    "extra",
    "it covers 203.0.113.7, the registry",
  ],
  [
    "2001:db8::/32 via fe80::2",
    "extra",
    'it covers 2001:db8::1, an address of "up0" of this host',
  ],
  [
    "224.0.0.0/8 via 198.18.0.2",
    "extra",
    "it covers addresses of 224.0.0.0/4 (multicast)",
  ],
  [
    "ff00::/8 via fe80::2",
    "extra",
    "it covers addresses of ff00::/8 (multicast)",
  ],
  [
    "::1/128 via fe80::2",
    "extra",
    "it covers addresses of ::/127 (unspecified and loopback)",
  ],
  [
    "169.254.169.254/32 via 198.18.0.2",
    "extra",
    "it covers addresses of 169.254.0.0/16 (link-local)",
  ],
  // Next hops.
  [
    "172.16.4.0/22 via 127.0.0.1",
    "node",
    "127.0.0.1 is in 127.0.0.0/8 (loopback)",
  ],
  [
    "172.16.4.0/22 via 224.0.0.9",
    "node",
    "224.0.0.9 is in 224.0.0.0/4 (multicast)",
  ],
  ["172.16.4.0/22 via 2001:db8::2", "node", "2001:db8::2 is of another family"],
];

Deno.test("RouteGuard refuses routes over this host's own paths and prefixes, whoever sent them", async (t) => {
  const kernel = await readKernel(await createFakeHost(COMMANDS));
  for (const [text, kind, refusal] of ROWS) {
    await t.step(`${text}, ${kind}`, () => {
      const desired = [
        route(text, kind),
        route("172.16.12.0/22 via 198.19.0.5", "node"),
      ];
      const guard = new RouteGuard(POLICY, desired, kernel);
      assert.equal(guard.refusal(desired[0]!), refusal);
    });
  }
});

Deno.test("RouteGuard protects the default gateway, and the uplink of a host without one", async () => {
  const covers = route("198.18.0.252/30 via 198.18.1.2", "extra");
  const off = await readKernel(await createFakeHost(["link set up0 down"]));
  const links = off.links.map((link) => ({ ...link, addresses: [] }));
  const [defaultRoute] = (await readKernel(await createFakeHost(COMMANDS)))
    .routes.filter(({ destination }) => destination.length === 0);
  const behind = new RouteGuard(POLICY, [covers], {
    links,
    routes: [defaultRoute!],
  });
  assert.equal(
    behind.refusal(covers),
    "it covers 198.18.0.254, the default gateway",
  );
  assert.equal(
    new RouteGuard(POLICY, [covers], { links, routes: [] }).refusal(covers),
    undefined,
  );
});

/** A node: its name, its subnets, and the addresses that it advertises. */
type NodeText = readonly [name: string, subnets: string, advertised: string];
/** An extra route: its destination and its target. */
type RouteText = readonly [destination: string, target: string];

function words(text: string): string[] {
  return text.split(" ").filter((word) => word !== "");
}

function routesFor(
  nodes: readonly NodeText[],
  extra: readonly RouteText[],
  own: string,
): string[] {
  const view = {
    nodes: new Map(nodes.map(([name, subnets, advertised]) => [
      name,
      {
        ...{ name, apiUrl: "", state: "ready", joinedAtMs: 0, seenAtMs: 0 },
        subnets: words(subnets).map((cidr) => parsePrefix(cidr)),
        advertised: words(advertised).map(parseAddress),
      } satisfies ClusterNode,
    ])),
    routes: new Map(extra.map(([cidr, target]) => [cidr, {
      destination: parsePrefix(cidr),
      target: parseAddress(target),
      addedAtMs: 0,
    }])),
  };
  const subnets = words(own).map((cidr) => parsePrefix(cidr));
  return desiredRoutes(view, { node: "a", subnets }).map(formatDesiredRoute);
}

const A: NodeText = ["a", "172.16.0.0/22", "198.18.0.1"];
const OWN = "172.16.0.0/22";

const CASES: readonly [
  what: string,
  nodes: readonly NodeText[],
  extra: readonly RouteText[],
  wanted: readonly string[],
][] = [
  ["wants nothing of its own", [A], [], []],
  [
    "wants nothing of its own that it does not hold yet",
    [["a", "172.16.0.0/22 172.16.12.0/22", "198.18.0.1"]],
    [],
    [],
  ],
  [
    "wants the subnets of others in order of address",
    [
      A,
      ["c", "172.16.8.0/22", "198.18.0.3"],
      ["b", "172.16.4.0/22", "198.18.0.2"],
    ],
    [],
    [
      '172.16.4.0/22 via 198.18.0.2 (node "b")',
      '172.16.8.0/22 via 198.18.0.3 (node "c")',
    ],
  ],
  [
    "takes the address of the subnet's family",
    [
      A,
      ["b", "172.16.4.0/22 fd00:0:0:1::/64", "198.18.0.2 2001:2::2"],
    ],
    [],
    [
      '172.16.4.0/22 via 198.18.0.2 (node "b")',
      'fd00:0:0:1::/64 via 2001:2::2 (node "b")',
    ],
  ],
  [
    "leaves out a family that is not advertised",
    [
      A,
      ["b", "172.16.4.0/22 fd00:0:0:1::/64", "198.18.0.2"],
    ],
    [],
    ['172.16.4.0/22 via 198.18.0.2 (node "b")'],
  ],
  [
    "leaves out nodes without an agent",
    [A, ["api", "172.16.4.0/22", ""]],
    [],
    [],
  ],
  [
    "puts extra routes behind",
    [
      A,
      ["b", "172.16.4.0/22", "198.18.0.2"],
    ],
    [["10.9.0.0/16", "198.18.0.9"], ["10.8.0.0/16", "198.18.0.2"]],
    [
      '172.16.4.0/22 via 198.18.0.2 (node "b")',
      "10.8.0.0/16 via 198.18.0.2 (extra route)",
      "10.9.0.0/16 via 198.18.0.9 (extra route)",
    ],
  ],
  [
    "leaves out what leads to a subnet of its own",
    [
      A,
      ["thief", OWN, "198.18.0.2"],
    ],
    [[OWN, "198.18.0.9"]],
    [],
  ],
];

for (const [what, nodes, extra, wanted] of CASES) {
  Deno.test(`desiredRoutes() ${what}`, () => {
    assert.deepEqual(routesFor(nodes, extra, OWN), wanted);
  });
}
