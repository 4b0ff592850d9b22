import assert from "node:assert/strict";
import type { ClusterNode } from "../../src/registry/view.ts";
import { desiredRoutes } from "../../src/routes/desired.ts";
import { parseAddress } from "../../src/net/address.ts";
import { parsePrefix } from "../../src/net/prefix.ts";
import { formatDesiredRoute } from "../../src/routes/plan/desired_route.ts";

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
