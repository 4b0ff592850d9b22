import assert from "node:assert/strict";
import { parsePrefix } from "../../../src/net/prefix.ts";
import type { NftTable } from "../../../src/host/plan/nft_json.ts";
import {
  formatTableScript,
  masqueradeRules,
  masqueradeState,
} from "../../../src/host/plan/nft_plan.ts";
import type { PacketChain } from "../../../src/host/plan/packet_chain.ts";

const SUBNET = parsePrefix("172.16.0.0/22");
const NETWORK = parsePrefix("172.16.0.0/12");
const RULES = masqueradeRules({ subnets: [SUBNET], networks: [NETWORK] });

Deno.test("masqueradeRules() exempts the cluster's networks, the bridge and multicast", () => {
  assert.deepEqual(
    masqueradeRules({
      subnets: [SUBNET, parsePrefix("fd00:16::/64")],
      networks: [
        NETWORK,
        parsePrefix("10.0.0.0/8"),
        parsePrefix("fd00:16::/48"),
      ],
      bridge: "br0",
    }),
    [
      'oifname "br0" return',
      "ip saddr 172.16.0.0/22 ip daddr 172.16.0.0/12 return",
      "ip saddr 172.16.0.0/22 ip daddr 10.0.0.0/8 return",
      "ip saddr 172.16.0.0/22 ip daddr 224.0.0.0/4 return",
      "ip saddr 172.16.0.0/22 masquerade fully-random",
      "ip6 saddr fd00:16::/64 ip6 daddr fd00:16::/48 return",
      "ip6 saddr fd00:16::/64 ip6 daddr ff00::/8 return",
      "ip6 saddr fd00:16::/64 masquerade fully-random",
    ],
  );
  assert.deepEqual(
    masqueradeRules({ subnets: [], networks: [NETWORK], bridge: "br0" }),
    [],
  );
});

Deno.test("formatTableScript() replaces the table in one transaction", () => {
  assert.equal(
    formatTableScript(['oifname "br0" return'], "\n"),
    `add table inet stellar-net;
delete table inet stellar-net;
table inet stellar-net {
chain postrouting {
type nat hook postrouting priority srcnat; policy accept;
oifname "br0" return comment "stellar-net";
}; }`,
  );
});

Deno.test("masqueradeState() tells the desired table from others", async (t) => {
  const rules = RULES.map((text, i) => ({
    id: String(i),
    text,
    comment: "stellar-net",
  }));
  const chain: PacketChain = {
    name: "postrouting",
    base: { type: "nat", hook: "postrouting", priority: 100, policy: "accept" },
    rules,
  };
  const table = (...chains: PacketChain[]): NftTable => ({
    family: "inet",
    name: "stellar-net",
    chains,
  });
  const foreign = { id: "9", text: "accept", comment: "" };
  const rows: readonly [
    name: string,
    tables: readonly NftTable[],
    state: string,
  ][] = [
    ["nothing", [], "absent"],
    ["another family", [{ ...table(chain), family: "ip" }], "absent"],
    ["another table", [{ ...table(chain), name: "other" }], "absent"],
    ["as it should be", [table(chain)], "in place"],
    ["a rule missing", [table({ ...chain, rules: rules.slice(1) })], "drifted"],
    [
      "a rule more",
      [table({ ...chain, rules: [...rules, foreign] })],
      "drifted",
    ],
    [
      "another order",
      [table({ ...chain, rules: rules.toReversed() })],
      "drifted",
    ],
    ["another priority", [
      table({ ...chain, base: { ...chain.base!, priority: 99 } }),
    ], "drifted"],
    ["another policy", [
      table({ ...chain, base: { ...chain.base!, policy: "drop" } }),
    ], "drifted"],
    ["no hook", [table({ name: chain.name, rules })], "drifted"],
    ["another name", [table({ ...chain, name: "x" })], "drifted"],
    ["a chain more", [table(chain, { name: "x", rules: [] })], "drifted"],
    ["no rules", [table({ ...chain, rules: [] })], "drifted"],
    ["no chains", [table()], "drifted"],
    ["others' rules alone", [table({ ...chain, rules: [foreign] })], "foreign"],
  ];
  for (const [name, tables, state] of rows) {
    await t.step(
      name,
      () => assert.equal(masqueradeState(tables, RULES), state),
    );
  }
});
