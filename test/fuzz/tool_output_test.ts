import assert from "node:assert/strict";
import fc from "fast-check";
import { formatAddress } from "../../src/net/address.ts";
import { formatPrefix } from "../../src/net/prefix.ts";
import {
  parseDefaultRoutes,
  parseFileLines,
  parseKernelRoutes,
  parseLinks,
} from "../../src/routes/plan/ip_json.ts";
import { parseBatchFailures } from "../../src/routes/plan/ip_batch.ts";
import {
  joinWords,
  parseIptablesRules,
  splitWords,
} from "../../src/host/plan/iptables_rules.ts";
import {
  formatKernelRoute,
  hostPrefixes,
} from "../../src/routes/plan/kernel_route.ts";
import {
  parseBridgePorts,
  parseLookupFailure,
  parseNeighbours,
  parsePing,
  parseRouteLookup,
  resolutionOf,
} from "../../src/host/plan/probe_output.ts";
import { parseNftTables } from "../../src/host/plan/nft_json.ts";
import { isOwn } from "../../src/host/plan/packet_chain.ts";
import {
  assertQuick,
  checkFuzz,
  fuzzedJson,
  fuzzedText,
  LONG_TEXT,
  nameRefusal,
  Tally,
} from "../support/fuzz.ts";

const RUNS = 1500;

const LINKS = [{}, {
  ifname: "eth0",
  flags: ["UP", "LOWER_UP"],
  mtu: 1500,
  master: "br0",
  linkinfo: { info_kind: "veth", info_data: {} },
  addr_info: [
    { local: "192.0.2.9", prefixlen: 24, scope: "global", secondary: true },
    { local: "2001:db8::7", prefixlen: 64, scope: "global", temporary: true },
    {},
  ],
}];
const WAY = { gateway: "192.0.2.2", dev: "eth0", flags: ["onlink"], weight: 1 };
const ROUTES = [
  { dst: "default", gateway: "192.0.2.1", dev: "eth0", metric: 100 },
  { dst: "10.1.0.0/24", protocol: "83", ...WAY, prefsrc: "192.0.2.7" },
  { dst: "fd00::/48", pref: "medium", metric: 1024, nexthops: [WAY, WAY] },
  { dst: "10.2.0.1", type: "blackhole", tos: "0x10", nhid: 5, encap: "mpls" },
  { dst: "10.3.0.0/16", via: { host: "fe80::1" }, metrics: [{ mtu: 1400 }] },
  { dst: "10.4.0.0/16", table: "local" },
];
const NEIGHBOURS = [
  { dst: "192.0.2.2", dev: "eth0", lladdr: "02:0:0:0:0:1", state: ["STALE"] },
  {},
];
const PORTS = [{ mac: "02:00:00:00:00:01", ifname: "veth0", state: "" }];
const PLACE = { family: "ip", table: "filter" };
const NFT = {
  nftables: [
    { table: { family: "ip", name: "filter" } },
    {
      chain: {
        ...PLACE,
        ...{ name: "FORWARD", type: "filter", hook: "forward" },
        ...{ prio: 0, policy: "drop" },
      },
    },
    { chain: { ...PLACE, name: "policies" } },
    {
      rule: {
        ...PLACE,
        ...{ chain: "FORWARD", handle: 7, comment: "stellar-net" },
        expr: [
          {
            match: {
              op: "==",
              left: { payload: { protocol: "ip", field: "saddr" } },
              right: { prefix: { addr: "172.16.0.0", len: 22 } },
            },
          },
          {
            match: { op: "in", left: { ct: { key: "state" } }, right: ["new"] },
          },
          {
            match: { op: "!=", left: { meta: { key: "oifname" } }, right: "a" },
          },
          { counter: { packets: 0, bytes: 0 } },
          { jump: { target: "policies" } },
        ],
      },
    },
    {
      rule: {
        ...PLACE,
        ...{ chain: "policies", handle: 8 },
        expr: [{ xt: { type: "match", name: "comment" } }, {
          masquerade: { flags: ["random"] },
        }, { reject: { type: "icmpx", expr: "admin-prohibited" } }],
      },
    },
  ],
};
const IPTABLES = [
  "-P FORWARD DROP\n-N policies\n-A FORWARD -s 192.0.2.0/24 -m comment " +
  '--comment "say \\"hi\\" \\\\ there" -j ACCEPT\n-A FORWARD -g policies\n' +
  "-A policies -p tcp -j REJECT --reject-with icmp-port-unreachable",
];
const PING = [
  "64 bytes from 198.18.0.2: icmp_seq=2\n2 packets transmitted, 1 received",
  "Frag needed and DF set (mtu = 1400)\n1 packets transmitted, 0 received",
];
const FILES = ["/proc/sys/net/ipv4/ip_forward:1\n/proc/self/status:CapEff:\t0"];

/** Uses all of what was parsed as others do. */
type Use = (text: string) => unknown;

const JSON_PARSERS: Readonly<Record<string, readonly [unknown, Use]>> = {
  parseLinks: [LINKS, (text) =>
    parseLinks(text).map((link) => [
      link.name.length + link.kind.length + (link.master ?? "").length,
      link.mtuBytes.toFixed(),
      link.addresses.map((held) => [
        formatAddress(held.address) + formatPrefix(held.prefix),
        held.scope.length,
      ]),
    ])],
  parseDefaultRoutes: [
    ROUTES,
    (text) =>
      parseDefaultRoutes(text, 4).map((route) => [
        route.device.length + route.gateway.length,
        route.metric.toFixed(),
      ]),
  ],
  hostPrefixes: [
    ROUTES,
    (text) =>
      hostPrefixes({ links: [], routes: parseKernelRoutes(text) }, 83)
        .map(({ prefix, device }) => formatPrefix(prefix) + device.length),
  ],
  parseKernelRoutes: [
    ROUTES,
    (text) => parseKernelRoutes(text).map(formatKernelRoute),
  ],
  parseRouteLookup: [ROUTES, (text) => parseRouteLookup(text, text)],
  parseNeighbours: [
    NEIGHBOURS,
    (text) =>
      parseNeighbours(text, "eth0").map((one) => [
        formatAddress(one.address) + one.device.length,
        one.macAddress.length,
        resolutionOf(one),
      ]),
  ],
  parseBridgePorts: [PORTS, parseBridgePorts],
  parseNftTables: [
    NFT,
    (text) =>
      parseNftTables(text).map(({ family, name, chains }) => [
        family.length + name.length,
        chains.flatMap(({ rules }) => rules.map(isOwn)),
        chains.flatMap(({ rules }) => rules.map(({ text }) => text.length)),
      ]),
  ],
};

const TEXT_PARSERS: Readonly<Record<string, readonly [string[], Use]>> = {
  parseIptablesRules: [
    IPTABLES,
    (text) =>
      parseIptablesRules(text).map(({ rules }) =>
        // What stands on one line, as iptables prints it, comes back as it was.
        rules.map(({ id }) => assert.equal(joinWords(splitWords(id)), id))
      ),
  ],
  parsePing: [PING, parsePing],
  parseFileLines: [FILES, parseFileLines],
  parseBatchFailures: [["Error: x\nCommand failed -:3\n"], parseBatchFailures],
  parseLookupFailure: [
    ["RTNETLINK answers: No route to host\n"],
    parseLookupFailure,
  ],
};

Deno.test("parsers of tools' output give a value or refuse, whatever comes", async (t) => {
  for (const [name, [valid, use]] of Object.entries(JSON_PARSERS)) {
    await t.step(name, () => {
      const texts = fc.oneof(
        { weight: 3, arbitrary: fuzzedJson([valid]).map(toText) },
        { weight: 1, arbitrary: fuzzedText([JSON.stringify(valid)]) },
      );
      fuzz(name, texts, use);
      use(JSON.stringify(valid));
    });
  }
  for (const [name, [valid, use]] of Object.entries(TEXT_PARSERS)) {
    await t.step(name, () => fuzz(name, fuzzedText(valid), use));
  }
});

function fuzz(name: string, texts: fc.Arbitrary<string>, use: Use): void {
  const tally = new Tally(name);
  checkFuzz(texts, RUNS, (text) => tally.add(outcomeOf(use, text)));
  tally.print();
  assert.ok(tally.total >= RUNS);
}

function outcomeOf(use: Use, text: string): string {
  try {
    use(text);
    return "parsed";
  } catch (error) {
    return nameRefusal(error);
  }
}

function toText(value: unknown): string {
  return JSON.stringify(value) ?? "";
}

Deno.test("parsers of tools' output take no longer than a text's length asks for", async (t) => {
  const pumps = ["1", "a", " ", '"', "\\", '\\"', '"a\\', ":", "mtu", "mtu ="]
    .concat("1 packets transmitted, ", "\n", "-A F ", "-N a\n", "[", "{", "=")
    .concat("/a:1\n", "Command failed -:", "RTNETLINK answers: ", "\t \t");
  const parsers = { ...JSON_PARSERS, ...TEXT_PARSERS };
  for (const [name, [valid, use]] of Object.entries(parsers)) {
    await t.step(name, () => {
      const start = Array.isArray(valid) ? String(valid[0]) : "[{";
      for (const pump of pumps) {
        const long = pump.repeat(Math.ceil(LONG_TEXT / pump.length));
        for (const text of [long, start + long, `${long}\n!`]) {
          assertQuick(() => void outcomeOf(use, text), pump);
        }
      }
    });
  }
});
