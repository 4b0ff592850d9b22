import assert from "node:assert/strict";
import { formatAddress, parseAddress } from "../../../src/net/address.ts";
import {
  linksHolding,
  parseDefaultRoutes,
  parseFileLines,
  parseLinks,
} from "../../../src/routes/plan/links_json.ts";
import {
  chooseAdvertised,
  uplinkOf,
  uplinksOf,
} from "../../../src/routes/plan/uplink.ts";

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
