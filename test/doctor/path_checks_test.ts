import assert from "node:assert/strict";
import { type Check, formatCheck } from "../../src/host/checks/check.ts";
import type { ClusterNode } from "../../src/registry/feed.ts";
import { checkPath } from "../../src/doctor/path_checks.ts";
import type { PathFacts } from "../../src/doctor/peer_checks.ts";
import { parseAddress } from "../../src/net/address.ts";
import { parsePrefix } from "../../src/net/prefix.ts";
import { parseKernelRoutes } from "../../src/routes/plan/ip_json.ts";
import type {
  RouteState,
  RouteStatus,
} from "../../src/routes/plan/route_plan.ts";
import type { RouteLookup } from "../../src/host/plan/probe_output.ts";
import { FakePathProbe } from "../fake/fake_path_probe.ts";
import { hostLink } from "../host/plan/host_plans.ts";
import { desire } from "../routes/plan/kernels.ts";
import { pathFacts, peerNode, PROTOCOL, routeReport } from "./path_world.ts";

const MAC = "02:00:00:00:00:02";
const INSTALLED: RouteState = {
  kind: "installed",
  device: "eth0",
  hasCarrier: true,
};
const OFF: RouteState = { kind: "unknown", why: "routes are off on this host" };

function way(device: string, gateway?: string): RouteLookup {
  return {
    kind: "way",
    isLocal: false,
    device,
    gateway: gateway === undefined ? undefined : parseAddress(gateway),
    match: undefined,
  };
}

/** A lookup that a route decides, as `ip -json` prints it, and its table. */
function decided(
  lookup: RouteLookup,
  route: Readonly<Record<string, unknown>>,
  table?: string,
): RouteLookup {
  const [match] = parseKernelRoutes(JSON.stringify([route]));
  return { ...lookup, match: { route: match!, table } } as RouteLookup;
}

/** A host with a path as it should be to 198.18.0.2, behind which is 172.16.4.0/22. */
function goodProbe(): FakePathProbe {
  const probe = new FakePathProbe();
  probe.lookups.set("198.18.0.2", way("eth0"));
  probe.lookups.set("172.16.4.1", way("eth0", "198.18.0.2"));
  probe.lookups.set("172.16.0.2 br0 172.16.4.1", way("eth0", "198.18.0.2"));
  neighbour(probe, "REACHABLE");
  probe.largest.set("198.18.0.2", 1500);
  return probe;
}

function neighbour(probe: FakePathProbe, state: string): void {
  probe.entries.splice(0, 1, {
    address: parseAddress("198.18.0.2"),
    device: "eth0",
    macAddress: state === "INCOMPLETE" || state === "FAILED" ? "" : MAC,
    states: [state],
  });
}

function status(state: RouteState): RouteStatus {
  const route = desire("172.16.4.0/22 via 198.18.0.2");
  return { route, state, actual: [] };
}

function goodFacts(changes: Partial<PathFacts> = {}): PathFacts {
  const links = [
    hostLink("eth0", "", ["198.18.0.1/24"]),
    hostLink("br0", "bridge", ["172.16.0.1/22"]),
  ];
  return pathFacts({
    interfaces: { links, defaultRoutes: [] },
    report: routeReport([status(INSTALLED)]),
    ...changes,
  });
}

/** What is wrong, as lines. */
function wrong(checks: readonly Check[]): string[] {
  return checks.filter(({ status }) => status !== "ok").map(formatCheck);
}

Deno.test("checkPath() finds a path as it should be", async () => {
  const probe = goodProbe();
  const checks = await checkPath(peerNode(), probe, goodFacts());
  assert.deepEqual(checks.map(formatCheck), [
    'peer: "b" is ready',
    'subnet: "b" owns 172.16.4.0/22',
    'next hop: 198.18.0.2 is directly connected, on "eth0"',
    `neighbour: 198.18.0.2 is ${MAC} on "eth0" (REACHABLE)`,
    'route: 172.16.4.0/22 via 198.18.0.2 on "eth0" of node "b" is in the kernel, with our protocol 83',
    'mtu: packets of 1500 bytes, the MTU of "eth0", get to 198.18.0.2',
    "peer's agent: http://198.18.0.2:9000 answers in 0 ms",
    'clock: the clock of "b" is 0.0 s ahead of this host\'s',
    "version: both run 1.2.3",
  ]);
  assert.deepEqual(probe.tried, [0, 1500]);
});

Deno.test("checkPath() has nothing to check of this node itself", async () => {
  const checks = await checkPath(
    peerNode({ name: "a" }),
    new FakePathProbe(),
    pathFacts(),
  );
  assert.deepEqual(checks.map(formatCheck), [
    'peer: "a" is this node: there is no path',
  ]);
});

Deno.test("checkPath() asks no agent of a node that was registered over the API", async () => {
  const callPeer = () => Promise.reject(new Error("it was asked"));
  const peer = peerNode({ state: "no agent", apiUrl: "" });
  const checks = await checkPath(peer, goodProbe(), goodFacts({ callPeer }));
  assert.deepEqual(wrong(checks), []);
  assert.deepEqual(
    checks.map(({ name }) => name),
    ["peer", "subnet", "next hop", "neighbour", "route", "mtu"],
  );
});

interface Row {
  readonly name: string;
  readonly peer?: ClusterNode;
  readonly facts?: Partial<PathFacts>;
  readonly change?: (probe: FakePathProbe) => void;
  readonly wrong: readonly RegExp[];
}

const ROWS: readonly Row[] = [
  {
    name: "no way to the next hop, and so none to look at",
    change: (probe) =>
      probe.lookups.set("198.18.0.2", { kind: "none", why: "no route" }),
    wrong: [/^next hop: 198.18.0.2: no route; no route can lead through it; /],
  },
  {
    name: "a next hop behind a gateway",
    change: (probe) =>
      probe.lookups.set("198.18.0.2", way("eth1", "198.19.0.1")),
    wrong: [
      /^next hop: 198.18.0.2 is not directly connected: it is reached through 198.19.0.1 on "eth1"; .*--advertise/,
    ],
  },
  {
    name: "a next hop that is this host",
    peer: peerNode({ advertised: "198.18.0.1" }),
    change: (probe) =>
      probe.lookups.set("198.18.0.1", {
        kind: "way",
        isLocal: true,
        device: "lo",
        gateway: undefined,
        match: undefined,
      }),
    wrong: [/^next hop: 198.18.0.1 is an address of this host, on "eth0"; /],
  },
  {
    name: "a family without an address",
    peer: peerNode({ subnets: "172.16.4.0/22 fd00:16:0:1::/64" }),
    wrong: [
      /^next hop: "b" advertises no IPv6 address, and has fd00:16:0:1::\/64; no route leads there; .*--advertise/,
    ],
  },
  {
    name: "a family without an address, and no agent",
    peer: peerNode({ advertised: "", state: "no agent" }),
    wrong: [
      /^next hop: "b" advertises no IPv4 address, .*: stellar-net route add 172.16.4.0\/22 /,
    ],
  },
  {
    name: "a neighbour that is not there",
    change: (probe) => {
      neighbour(probe, "FAILED");
      probe.largest.clear();
    },
    wrong: [
      /^neighbour: nobody on "eth0" answers for 198.18.0.2 \(FAILED\); the host "b" is down, or not on the link of "eth0"; /,
    ],
  },
  {
    name: "a neighbour that the kernel still looks for",
    change: (probe) => {
      neighbour(probe, "INCOMPLETE");
      probe.largest.clear();
      probe.onPing = () =>
        probe.tried.length === 3 && neighbour(probe, "FAILED");
    },
    wrong: [/^neighbour: nobody on "eth0" answers for 198.18.0.2 \(FAILED\); /],
  },
  {
    name: "a neighbour that the kernel finds in the end",
    change: (probe) => {
      neighbour(probe, "INCOMPLETE");
      probe.largest.clear();
      probe.onPing = () => {
        neighbour(probe, probe.tried.length < 2 ? "INCOMPLETE" : "REACHABLE");
        probe.largest.set("198.18.0.2", 1500);
      };
    },
    wrong: [],
  },
  {
    name: "an old neighbour that answers",
    change: (probe) => neighbour(probe, "DELAY"),
    wrong: [],
  },
  {
    name: "an old neighbour that does not answer",
    change: (probe) => {
      neighbour(probe, "STALE");
      probe.largest.clear();
    },
    wrong: [
      /^neighbour: 198.18.0.2 was 02:.* on "eth0" \(STALE\), and does not answer; .* may be down/,
      /^mtu: 198.18.0.2 answers no ping; /,
    ],
  },
  {
    name: "a link without neighbours that does not answer",
    change: (probe) => {
      probe.entries.splice(0);
      probe.largest.clear();
    },
    wrong: [
      /^neighbour: 198.18.0.2 does not answer on "eth0"; /,
      /^mtu: /,
    ],
  },
  {
    name: "a link without neighbours that answers",
    change: (probe) => probe.entries.splice(0),
    wrong: [],
  },
  {
    name: "a neighbour that filters pings",
    change: (probe) => probe.largest.clear(),
    wrong: [/^mtu: 198.18.0.2 answers no ping; how large .* not known; /],
  },
  {
    name: "no ping",
    change: (probe) =>
      probe.missing.set("ping", 'Cannot run "ping": it is not installed'),
    wrong: [
      /^ping: Cannot run "ping": it is not installed; whether .* not known; to fix it: install iputils-ping$/,
    ],
  },
  {
    name: "a ping that may not send",
    change: (probe) =>
      probe.missing.set("ping", "Cannot send: Operation not permitted"),
    wrong: [/^ping: Cannot send: .*; to fix it: run the agent as root, /],
  },
  {
    name: "no ip",
    change: (probe) =>
      probe.missing.set("ip", 'Cannot run "ip": it is not installed'),
    wrong: [
      /^next hop: Cannot run "ip": it is not installed; .*: install iproute2/,
    ],
  },
  {
    name: "a route that the agent does not want",
    facts: { report: routeReport([]) },
    wrong: [
      /^route: the agent wants no route to 172.16.4.0\/22 of node "b"; .*"stellar-net status"/,
    ],
  },
  {
    name: "a route of an operator alone",
    facts: {
      report: routeReport([{
        ...status(INSTALLED),
        route: {
          ...desire("172.16.4.0/22 via 198.18.0.2"),
          origin: { kind: "extra" },
        },
      }]),
    },
    wrong: [/^route: the agent wants no route to 172.16.4.0\/22 of node "b"; /],
  },
  {
    name: "a route that could not be installed",
    facts: {
      report: routeReport([status({ kind: "failed", error: "File exists" })]),
    },
    wrong: [/^route: 172.16.4.0\/22 of node "b": File exists; /],
  },
  {
    name: "a policy rule for all",
    change: (probe) => {
      const table = decided(
        way("eth1", "198.19.0.1"),
        { dst: "default", gateway: "198.19.0.1", dev: "eth1" },
        "7",
      );
      probe.lookups.set("172.16.4.1", table);
      probe.lookups.set("172.16.0.2 br0 172.16.4.1", table);
    },
    wrong: [
      /^route: packets to 172.16.4.1 leave via 198.19.0.1 on "eth1", not via 198.18.0.2 on "eth0": a policy rule leads to table 7, which has 0.0.0.0\/0 via 198.19.0.1 dev eth1; .*: find the rule with ip rule show, or the route with ip route show table 7, and delete it$/,
    ],
  },
  {
    name: "a policy rule that is known",
    change: (probe) => {
      probe.lookups.set("172.16.4.1", { kind: "none", why: "thrown away" });
      const all = { from: undefined, to: undefined };
      probe.policyRules.push(
        { preference: 0, table: "255", ...all },
        { preference: 9, table: undefined, ...all },
      );
    },
    wrong: [
      /^route: packets to 172.16.4.1 go nowhere: thrown away; .*: ip rule delete preference 9$/,
    ],
  },
  {
    name: "a policy rule for containers",
    change: (probe) =>
      probe.lookups.set("172.16.0.2 br0 172.16.4.1", way("eth1")),
    wrong: [
      /^route: packets to 172.16.4.1 from containers on "br0" leave directly on "eth1", .*: 172.16.4.0\/22 does not decide; /,
    ],
  },
  {
    name: "packets that stay on this host",
    change: (probe) =>
      probe.lookups.set("172.16.4.1", {
        ...way("lo"),
        isLocal: true,
      } as RouteLookup),
    wrong: [/^route: packets to 172.16.4.1 stay on this host, not via /],
  },
  {
    name: "a route to the very subnet that was not seen yet",
    change: (probe) =>
      probe.lookups.set(
        "172.16.4.1",
        decided(way("eth1"), { dst: "172.16.4.0/22", dev: "eth1" }),
      ),
    wrong: [
      /172.16.4.0\/22 dev eth1 wins; .*: ip route delete 172.16.4.0\/22 dev eth1$/,
    ],
  },
  {
    name: "routes of others to parts, of which one leads there as well",
    change: (probe) => {
      const others = Array.from(
        { length: 7 },
        (_, i) => ({ dst: `172.16.5.${i}`, dev: "eth1" }),
      );
      probe.routes.push(...parseKernelRoutes(JSON.stringify([
        { dst: "172.16.6.0/24", gateway: "198.18.0.2", dev: "eth0" },
        { dst: "172.16.7.0/24", dev: "eth0", protocol: PROTOCOL },
        { dst: "172.16.8.0/24", dev: "eth1" },
        ...others,
      ])));
    },
    wrong: [0, 1, 2, 3].map((i) =>
      new RegExp(
        `^route: 172.16.5.${i}/32 dev eth1 takes a part of 172.16.4.0/22 elsewhere; .*: ip route delete 172.16.5.${i}/32 dev eth1$`,
      )
    ).concat(/^route: 172.16.5.4.* elsewhere, and so do 2 more; /),
  },
  {
    name: "routes off, and others' in place",
    facts: { report: routeReport([status(OFF)], { mode: "off" }) },
    wrong: [],
  },
  {
    name: "routes off, and none",
    facts: { report: routeReport([status(OFF)], { mode: "off" }) },
    change: (probe) => {
      const lookup = decided(way("eth0", "198.18.0.9"), {
        dst: "default",
        gateway: "198.18.0.9",
        dev: "eth0",
      });
      probe.lookups.set("172.16.4.1", lookup);
    },
    wrong: [
      /there is no route but 0.0.0.0\/0 .*: ip route add 172.16.4.0\/22 via 198.18.0.2 dev eth0$/,
    ],
  },
  {
    name: "a tunnel on the way",
    change: (probe) => {
      probe.largest.set("198.18.0.2", 1437);
      probe.hint = 1437;
    },
    wrong: [
      /^mtu: packets of 1437 bytes get to 198.18.0.2, larger ones do not: "eth0" has an MTU of 1500, and "br0" 1500; .* "mtu": 1437 in the CNI configuration; to fix it: ip link set dev eth0 mtu 1437 && ip link set dev br0 mtu 1437$/,
    ],
  },
  {
    name: "a smaller MTU, and no bridge yet",
    facts: {
      interfaces: {
        links: [hostLink("eth0", "", ["198.18.0.1/24"])],
        defaultRoutes: [],
      },
    },
    change: (probe) => probe.largest.set("198.18.0.2", 1404),
    wrong: [
      /^mtu: packets of 1404 bytes get .* has an MTU of 1500; .* "mtu": 1400 in the CNI configuration; to fix it: ip link set dev eth0 mtu 1400$/,
    ],
  },
];

Deno.test("checkPath() gives the finding, its meaning and its fix", async (t) => {
  for (const { name, peer = peerNode(), facts, change, wrong: lines } of ROWS) {
    await t.step(name, async () => {
      const probe = goodProbe();
      change?.(probe);
      const found = wrong(await checkPath(peer, probe, goodFacts(facts)));
      assert.equal(found.length, lines.length, found.join("\n"));
      lines.forEach((line, at) => assert.match(found[at]!, line));
    });
  }
});

Deno.test("checkPath() throws errors that are no failure of a program", async () => {
  const probe = new FakePathProbe();
  await assert.rejects(
    checkPath(peerNode(), probe, pathFacts()),
    /^Error: the fake knows no way to "198.18.0.2"$/,
  );
});

Deno.test("checkPath() looks at both families", async () => {
  const probe = goodProbe();
  probe.lookups.set("2001:2::2", { kind: "none", why: "no route" });
  const peer = peerNode({
    advertised: "198.18.0.2 2001:2::2",
    subnets: "172.16.4.0/22 fd00:16:0:1::/64",
  });
  const subnets = ["172.16.0.0/22", "fd00:16::/64"].map(parsePrefix);
  const checks = await checkPath(peer, probe, goodFacts({ subnets }));
  assert.deepEqual(
    wrong(checks).map((line) => line.split(";")[0]),
    [
      "next hop: 2001:2::2: no route",
      'route: the agent wants no route to fd00:16:0:1::/64 of node "b"',
    ],
  );
});

Deno.test("checkPath() asks three times for a neighbour that the kernel does not find", async () => {
  const probe = goodProbe();
  neighbour(probe, "INCOMPLETE");
  probe.largest.clear();
  await checkPath(peerNode(), probe, goodFacts());
  assert.equal(probe.tried.length, 3);
});
