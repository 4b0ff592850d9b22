import assert from "node:assert/strict";
import { formatPrefix } from "../../../src/net/prefix.ts";
import {
  eventKey,
  linksHolding,
  parseDefaultRoutes,
  parseFileLines,
  parseKernelRoutes,
  parseLinks,
  parseMonitorLine,
} from "../../../src/routes/plan/ip_json.ts";
import { hostPrefixes } from "../../../src/routes/plan/kernel_route.ts";
import { formatAddress, parseAddress } from "../../../src/net/address.ts";
import {
  chooseAdvertised,
  uplinkOf,
  uplinksOf,
} from "../../../src/routes/plan/uplink.ts";

function prefixes(addresses: string, routes: string): string[] {
  const links = parseLinks(addresses);
  return hostPrefixes({ links, routes: parseKernelRoutes(routes) }, 83)
    .map((p) => `${formatPrefix(p.prefix)} ${p.device}`);
}

Deno.test("hostPrefixes() gives the prefix of each address", () => {
  const text = JSON.stringify([
    { ifname: "ifb0", addr_info: [] },
    {
      ifname: "docker0",
      addr_info: [
        { family: "inet", local: "172.17.0.1", prefixlen: 16 },
        { family: "inet6", local: "fd00::1", prefixlen: 64 },
      ],
    },
  ]);
  assert.deepEqual(prefixes(text, ""), [
    "172.17.0.0/16 docker0",
    "fd00::/64 docker0",
  ]);
});

Deno.test("hostPrefixes() leaves out default routes and our own", () => {
  const text = JSON.stringify([
    { dst: "default", gateway: "192.0.2.1", dev: "eth0" },
    { dst: "10.1.0.0/16", gateway: "192.0.2.9", dev: "eth0" },
    { dst: "10.2.0.1", dev: "tun0", protocol: "static" },
    { type: "blackhole", dst: "10.3.0.0/24" },
    { dst: "172.16.4.0/22", gateway: "192.0.2.3", dev: "eth0", protocol: "83" },
    { dst: "fd01::5", dev: "tun0" },
  ]);
  assert.deepEqual(prefixes("", text), [
    "10.1.0.0/16 eth0",
    "10.2.0.1/32 tun0",
    "10.3.0.0/24 blackhole",
    "fd01::5/128 tun0",
  ]);
});

Deno.test("parseKernelRoutes() takes no output for no routes, and refuses what is no list", () => {
  assert.deepEqual(parseKernelRoutes(""), []);
  assert.throws(() => parseKernelRoutes("{}"), SyntaxError);
  assert.throws(() => parseKernelRoutes("Error: x"), SyntaxError);
});

const LINKS = JSON.stringify([
  {},
  {
    ifname: "eth0",
    flags: ["BROADCAST", "MULTICAST", "UP", "LOWER_UP"],
    mtu: 9000,
    addr_info: [
      {
        family: "inet",
        local: "192.0.2.9",
        prefixlen: 24,
        scope: "global",
        secondary: true,
      },
      { family: "inet", local: "192.0.2.5", prefixlen: 24, scope: "global" },
      {
        family: "inet6",
        local: "2001:db8::7",
        prefixlen: 64,
        scope: "global",
        temporary: true,
      },
      { family: "inet6", local: "2001:db8::5", prefixlen: 64, scope: "global" },
      { family: "inet6", local: "fe80::5", prefixlen: 64, scope: "link" },
      {},
    ],
  },
  {
    ifname: "br0",
    flags: ["NO-CARRIER", "BROADCAST", "MULTICAST"],
    mtu: 1500,
    linkinfo: { info_kind: "bridge", info_data: {} },
    addr_info: [{ family: "inet", local: "172.16.0.1", prefixlen: 22 }],
  },
]);

const DEFAULTS = [
  ...parseDefaultRoutes(
    JSON.stringify([
      { dst: "default", gateway: "192.0.2.1", dev: "eth1", metric: 600 },
      { dst: "default", gateway: "192.0.2.1", dev: "eth0", metric: 100 },
    ]),
    4,
  ),
  ...parseDefaultRoutes(
    JSON.stringify([{
      dst: "default",
      nexthops: [{ gateway: "fe80::1", dev: "eth0" }, { dev: "wg0" }],
    }]),
    6,
  ),
];

Deno.test("parseLinks() gives what each interface is, and its addresses", () => {
  const links = parseLinks(LINKS);
  assert.deepEqual(
    links.map(({ name, kind, isUp, mtuBytes }) => [name, kind, isUp, mtuBytes]),
    [["eth0", "", true, 9000], ["br0", "bridge", false, 1500]],
  );
  assert.deepEqual(
    links[0]!.addresses.map((held) =>
      [formatAddress(held.address), held.prefix.length, held.scope].join(" ") +
      (held.isTransient ? " transient" : "") +
      (held.isSecondary ? " secondary" : "")
    ),
    [
      "192.0.2.9 24 global secondary",
      "192.0.2.5 24 global",
      "2001:db8::7 64 global transient",
      "2001:db8::5 64 global",
      "fe80::5 64 link",
    ],
  );
  assert.deepEqual(parseLinks(""), []);
  assert.throws(() => parseLinks("{}"), SyntaxError);
});

Deno.test("parseDefaultRoutes() gives a way for each next hop", () => {
  assert.deepEqual(
    DEFAULTS.map(({ family, device, gateway, metric }) =>
      [family, device, gateway, metric].join(" ")
    ),
    [
      "4 eth1 192.0.2.1 600",
      "4 eth0 192.0.2.1 100",
      "6 eth0 fe80::1 0",
      "6 wg0  0",
    ],
  );
  assert.deepEqual(parseDefaultRoutes('[{"dst":"192.0.2.0/24"}]', 4), []);
});

const NO_CANDIDATES = { previous: [], towardRegistry: [], listening: [] };

Deno.test("uplinkOf() takes the route with the smallest metric, and lasting addresses first", () => {
  const interfaces = { links: parseLinks(LINKS), defaultRoutes: DEFAULTS };
  assert.deepEqual(
    uplinksOf(interfaces).map((uplink) => [
      uplink.family,
      uplink.device,
      uplink.mtuBytes,
      ...uplink.addresses.map(({ address }) => formatAddress(address)),
    ]),
    [
      [4, "eth0", 9000, "192.0.2.5", "192.0.2.9"],
      [6, "eth0", 9000, "2001:db8::5", "2001:db8::7"],
    ],
  );
  assert.deepEqual(
    chooseAdvertised(interfaces, NO_CANDIDATES).map(formatAddress),
    [
      "192.0.2.5",
      "2001:db8::5",
    ],
  );
  assert.equal(
    uplinkOf({ ...interfaces, defaultRoutes: DEFAULTS.slice(0, 1) }, 4),
    undefined,
  );
});

Deno.test("linksHolding() finds the interface of an address, whatever its prefix", () => {
  const names = (text: string) =>
    linksHolding(parseLinks(LINKS), parseAddress(text)).map((l) => l.name);
  assert.deepEqual(names("172.16.0.1"), ["br0"]);
  assert.deepEqual(names("172.16.0.2"), []);
  assert.deepEqual(names("2001:db8::5"), ["eth0"]);
});

Deno.test("parseFileLines() keeps the lines of each file apart", () => {
  assert.deepEqual(
    [...parseFileLines(
      "/proc/a:1\n/proc/names:filter\n/proc/names:nat\n/proc/self/status:CapEff:\t0\n\n",
    )],
    [
      ["/proc/a", ["1"]],
      ["/proc/names", ["filter", "nat"]],
      ["/proc/self/status", ["CapEff:\t0"]],
    ],
  );
});

Deno.test("chooseAdvertised() never takes a temporary, deprecated or tentative address", () => {
  for (const flag of ["temporary", "deprecated", "tentative"]) {
    const links = parseLinks(JSON.stringify([{
      ifname: "eth0",
      addr_info: [
        { local: "2001:db8::9", prefixlen: 64, scope: "global", [flag]: true },
      ],
    }]));
    const address = parseAddress("2001:db8::9");
    const defaultRoutes = parseDefaultRoutes(
      '[{"dst":"default","dev":"eth0"}]',
      6,
    );
    const chosen = chooseAdvertised({ links, defaultRoutes }, {
      previous: [address],
      towardRegistry: [address],
      listening: [address],
    });
    assert.deepEqual(chosen, [], flag);
  }
});

/** Lines of `ip -o -N monitor label` (iproute2 6.1), and what they announce. */
const LINES: readonly [line: string, announces: string | undefined][] = [
  [
    "[ROUTE]172.16.4.0/22 via 198.18.0.2 dev v0 proto 83 ",
    "add 172.16.4.0/22 83",
  ],
  [
    "[ROUTE]Deleted 172.16.4.0/22 via 198.18.0.2 dev v0 proto 83 ",
    "del 172.16.4.0/22 83",
  ],
  ["[ROUTE]7 172.16.0.0/12 proto 83 metric 4000000 ", "add 172.16.0.0/12 83"],
  [
    "[ROUTE]Deleted 7 172.16.0.0/12 proto 83 metric 4000000 ",
    "del 172.16.0.0/12 83",
  ],
  ["[ROUTE]198.18.7.7 via 198.18.0.2 dev v0 proto 83 ", "add 198.18.7.7 83"],
  ["[ROUTE]default via 198.18.0.2 dev v0 proto 4 ", "add default 4"],
  [
    "[ROUTE]fd00:4::/64 via fd00::2 dev v0 proto 83 metric 4000 pref medium",
    "add fd00:4::/64 83",
  ],
  [
    "[ROUTE]2 172.16.0.1 dev br0 table 255 proto 2 scope 254 src 172.16.0.1 ",
    undefined,
  ],
  [
    "[NETCONF]inet br0 forwarding off rp_filter off mc_forwarding off ",
    "interfaces",
  ],
  ["[LINK]4: br0: <BROADCAST,MULTICAST> mtu 1500 qdisc noop", "interfaces"],
  ["[ADDR]Deleted 3: v0    inet6 fd00::1/64 scope 0 nodad ", "interfaces"],
  ["netlink receive error No buffer space available (105)", "interfaces"],
  ["", undefined],
];

Deno.test("parseMonitorLine() reads what ip monitor announces", async (t) => {
  for (const [line, announces] of LINES) {
    await t.step(line || "an empty line", () => {
      const parsed = parseMonitorLine(line);
      const text = parsed?.kind === "routes" ? parsed.key : parsed?.kind;
      assert.equal(text, announces);
    });
  }
});

/** Lines of a batch, and the line of the monitor that each one causes. */
const CAUSES: readonly [command: string, line: number | undefined][] = [
  ["route add 172.16.4.0/22 via 198.18.0.2 dev v0 proto 83", 0],
  ["route del 172.16.4.0/22 via 198.18.0.2 dev v0 proto 83 metric 5", 1],
  ["route add unreachable 172.16.0.0/12 proto 83 metric 4000000", 2],
  ["route del unreachable 172.16.0.0/12 proto 83 metric 4000000", 3],
  ["route add 198.18.7.7/32 via 198.18.0.2 dev v0 proto 83", 4],
  ["route add 0.0.0.0/0 via 198.18.0.2 dev v0 proto 4", 5],
  ["route add fd00:4::/64 via fd00::2 dev v0 proto 83", 6],
  ["address add 198.18.0.1/24 dev v0", undefined],
];

Deno.test("eventKey() is equal for a command and its announcement", async (t) => {
  for (const [command, line] of CAUSES) {
    await t.step(command, () => {
      const announced = line === undefined ? undefined : LINES[line]![1];
      assert.equal(eventKey(command), announced);
    });
  }
});
