import assert from "node:assert/strict";
import { parsePrefix } from "../../../src/net/prefix.ts";
import {
  acceptRules,
  dropReason,
  formatAcceptRule,
  type ForwardFilter,
  planForward,
} from "../../../src/host/plan/forward_plan.ts";
import {
  formatFilter,
  formatOperation,
} from "../../../src/host/plan/host_command.ts";
import { parseIptablesRules } from "../../../src/host/plan/iptables_rules.ts";
import { parseNftTables } from "../../../src/host/plan/nft_json.ts";

const NEAR = {
  subnets: [parsePrefix("172.16.0.0/22")],
  networks: [parsePrefix("172.16.0.0/12")],
  masquerade: false,
};
const IN =
  '-s 172.16.0.0/12 -d 172.16.0.0/22 -m comment --comment "stellar-net in" -j ACCEPT';
const OUT =
  '-s 172.16.0.0/22 -d 172.16.0.0/12 -m comment --comment "stellar-net out" -j ACCEPT';
const ALL_OUT =
  '-s 172.16.0.0/22 -m comment --comment "stellar-net out" -j ACCEPT';
const FOREIGN = "-A FORWARD -s 192.0.2.1/32 -j ACCEPT";

function iptables(...lines: string[]): ForwardFilter {
  const parsed = parseIptablesRules(lines.join("\n"));
  const chains = new Map(parsed.map((chain) => [chain.name, chain]));
  return {
    tool: "iptables-nft",
    family: "ip",
    table: "filter",
    chain: chains.get("FORWARD")!,
    chains,
  };
}

function commands(filter: ForwardFilter, options = NEAR): string[] {
  return planForward(filter, acceptRules(options)).map((change) =>
    formatOperation(change).replace("iptables-nft -w 5 -t filter ", "")
  );
}

Deno.test("acceptRules() opens only the needed paths", async (t) => {
  const dual = {
    subnets: [...NEAR.subnets, parsePrefix("fd00:16::/64")],
    networks: [...NEAR.networks, parsePrefix("fd00:16::/48")],
  };
  const rows: readonly [string, Parameters<typeof acceptRules>[0], string[]][] =
    [
      ["no subnet", { ...NEAR, subnets: [] }, []],
      ["the cluster's networks", NEAR, [
        "ip saddr 172.16.0.0/12 ip daddr 172.16.0.0/22 accept",
        "ip saddr 172.16.0.0/22 ip daddr 172.16.0.0/12 accept",
      ]],
      ["and everywhere else", { ...NEAR, masquerade: true }, [
        "ip saddr 172.16.0.0/12 ip daddr 172.16.0.0/22 accept",
        "ip saddr 172.16.0.0/22 accept",
        "ip daddr 172.16.0.0/22 ct state established,related accept",
      ]],
      ["both families", { ...dual, masquerade: false }, [
        "ip saddr 172.16.0.0/12 ip daddr 172.16.0.0/22 accept",
        "ip saddr 172.16.0.0/22 ip daddr 172.16.0.0/12 accept",
        "ip6 saddr fd00:16::/48 ip6 daddr fd00:16::/64 accept",
        "ip6 saddr fd00:16::/64 ip6 daddr fd00:16::/48 accept",
        "icmpv6 type nd-neighbor-solicit accept",
        "icmpv6 type nd-neighbor-advert accept",
      ]],
    ];
  for (const [name, options, texts] of rows) {
    await t.step(name, () =>
      assert.deepEqual(
        acceptRules(options).map((rule) => formatAcceptRule("nft", rule)),
        texts,
      ));
  }
});

Deno.test("planForward() puts its rules before the one that drops the rest", async (t) => {
  const drop = "-P FORWARD DROP";
  const accept = "-P FORWARD ACCEPT";
  const rows: readonly [
    name: string,
    filter: ForwardFilter,
    commands: readonly string[],
  ][] = [
    ["a policy of accept", iptables(accept, FOREIGN), []],
    ["a policy of drop", iptables(drop, FOREIGN), [
      `-A FORWARD ${IN}`,
      `-A FORWARD ${OUT}`,
    ]],
    ["a rule that drops", iptables(accept, FOREIGN, "-A FORWARD -j DROP"), [
      `-I FORWARD 2 ${IN}`,
      `-I FORWARD 3 ${OUT}`,
    ]],
    [
      "all in place, whatever stands between",
      iptables(drop, `-A FORWARD ${OUT}`, FOREIGN, `-A FORWARD ${IN}`),
      [],
    ],
    ["one missing", iptables(drop, `-A FORWARD ${OUT}`), [`-A FORWARD ${IN}`]],
    [
      "one behind what drops",
      iptables(
        accept,
        `-A FORWARD ${OUT}`,
        "-A FORWARD -j DROP",
        `-A FORWARD ${IN}`,
      ),
      [`-D FORWARD ${IN}`, `-I FORWARD 2 ${IN}`],
    ],
    [
      "one twice",
      iptables(
        accept,
        `-A FORWARD ${IN}`,
        `-A FORWARD ${IN}`,
        `-A FORWARD ${OUT}`,
        "-A FORWARD -j DROP",
      ),
      [`-D FORWARD ${IN}`, `-D FORWARD ${IN}`, `-I FORWARD 2 ${IN}`],
    ],
    [
      "one that is not wanted any more",
      iptables(drop, `-A FORWARD ${ALL_OUT}`, `-A FORWARD ${IN}`),
      [`-A FORWARD ${OUT}`, `-D FORWARD ${ALL_OUT}`],
    ],
    [
      "nothing drops any more",
      iptables(accept, `-A FORWARD ${IN}`, FOREIGN),
      [`-D FORWARD ${IN}`],
    ],
    [
      "a rule like ours that is not ours",
      iptables(
        drop,
        "-A FORWARD -s 172.16.0.0/12 -d 172.16.0.0/22 -j ACCEPT",
        `-A FORWARD ${OUT}`,
      ),
      [`-A FORWARD ${IN}`],
    ],
  ];
  for (const [name, filter, expected] of rows) {
    await t.step(name, () => assert.deepEqual(commands(filter), expected));
  }
});

Deno.test("planForward() speaks nft to a table of nft, in the families that it filters", () => {
  const base = { type: "filter", hook: "forward", prio: 0, policy: "accept" };
  const at = { family: "inet", table: "fw", chain: "fwd" };
  const [table] = parseNftTables(JSON.stringify({
    nftables: [
      { chain: { family: "inet", table: "fw", name: "fwd", ...base } },
      {
        rule: {
          ...at,
          handle: 7,
          comment: "stellar-net out",
          expr: [{ accept: null }],
        },
      },
      { rule: { ...at, handle: 8, expr: [{ reject: null }] } },
    ],
  }));
  const [chain] = table!.chains;
  const filter: ForwardFilter = {
    tool: "nft",
    family: "inet",
    table: "fw",
    chain: { ...chain!, rules: chain!.rules.slice(1) },
    chains: new Map(),
  };
  assert.equal(formatFilter(filter), "inet fw fwd");
  assert.equal(dropReason(filter), 'its rule "reject" drops the rest');
  assert.deepEqual(commands(filter), [
    `nft 'insert rule inet fw fwd handle 8 ip saddr 172.16.0.0/12 ip daddr 172.16.0.0/22 accept comment "stellar-net in"'`,
    `nft 'insert rule inet fw fwd handle 8 ip saddr 172.16.0.0/22 ip daddr 172.16.0.0/12 accept comment "stellar-net out"'`,
  ]);
  assert.deepEqual(commands({ ...filter, family: "ip6" }), []);
  assert.deepEqual(
    commands({
      ...filter,
      chain: { ...chain!, rules: chain!.rules.slice(0, 1) },
    }),
    ["nft 'delete rule inet fw fwd handle 7'"],
  );
});

Deno.test("formatFilter() tells iptables-legacy's chains from those of the same name", () => {
  const filter = iptables("-P FORWARD DROP");
  assert.equal(formatFilter(filter), "ip filter FORWARD");
  assert.equal(
    formatFilter({ ...filter, tool: "iptables-legacy" }),
    "ip filter FORWARD (iptables-legacy)",
  );
  assert.equal(dropReason(filter), "its policy is drop");
  assert.equal(dropReason(iptables("-P FORWARD ACCEPT")), undefined);
});
