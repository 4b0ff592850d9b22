import assert from "node:assert/strict";
import { parsePrefix } from "../../../src/net/prefix.ts";
import { parseNftTables } from "../../../src/host/plan/nft_json.ts";
import { findRewrites } from "../../../src/host/plan/source_nat.ts";

const FLOWS = [
  { from: parsePrefix("172.16.0.0/22"), to: parsePrefix("172.16.0.0/12") },
  { from: parsePrefix("fd00:16::/64"), to: parsePrefix("fd00:16::/48") },
];

/** A rule in a line: conditions such as `saddr=192.0.2.0/24` or `daddr!=...`, any other word unknown, then what it does. */
type Line = readonly [chain: string, rule: string];

function rewrites(family: string, lines: readonly Line[], policy = "nat") {
  const at = { family, table: "nat" };
  const names = ["POSTROUTING", ...new Set(lines.map(([chain]) => chain))];
  const text = JSON.stringify({
    nftables: [
      ...[...new Set(names)].map((name) => ({
        chain: {
          ...at,
          name,
          ...(name === "POSTROUTING" &&
            { type: policy, hook: "postrouting", prio: 100, policy: "accept" }),
        },
      })),
      ...lines.map(([chain, rule], handle) => ({
        rule: { ...at, chain, handle, expr: rule.split(" ").map(expression) },
      })),
    ],
  });
  return findRewrites(parseNftTables(text), FLOWS)
    .map(({ rule, to }) => `${rule} -> ${to}`);
}

function expression(word: string): unknown {
  const [, field, not, addr, len] =
    /^([sd]addr)(!?)=([^/]+)(?:\/(\d+))?$/.exec(word) ?? [];
  if (field) {
    const protocol = addr!.includes(":") ? "ip6" : "ip";
    return {
      match: {
        op: not ? "!=" : "==",
        left: { payload: { protocol, field } },
        right: len ? { prefix: { addr, len: Number(len) } } : addr,
      },
    };
  }
  if (word === "MASQUERADE") return { xt: { type: "target", name: word } };
  if (word.startsWith("jump:")) return { jump: { target: word.slice(5) } };
  const actions = ["accept", "return", "masquerade"];
  return actions.includes(word)
    ? { [word]: null }
    : { xt: { type: "match", name: word } };
}

Deno.test("findRewrites() finds the rule that rewrites what goes between hosts", async (t) => {
  const rows: readonly [
    name: string,
    lines: readonly Line[],
    found: string | undefined,
  ][] = [
    ["nothing", [], undefined],
    ["docker's own network", [[
      "POSTROUTING",
      "saddr=172.17.0.0/16 oif MASQUERADE",
    ]], undefined],
    [
      "all that leaves by an interface",
      [["POSTROUTING", "oif masquerade"]],
      "ip nat POSTROUTING: oif masquerade -> 172.16.0.0/12",
    ],
    ["the network exempted", [[
      "POSTROUTING",
      "saddr=172.16.0.0/12 daddr!=172.16.0.0/12 masquerade",
    ]], undefined],
    [
      "a part of it exempted",
      [["POSTROUTING", "saddr=172.16.0.0/12 daddr!=172.16.0.0/16 masquerade"]],
      "ip nat POSTROUTING: ip saddr 172.16.0.0/12 ip daddr != 172.16.0.0/16 masquerade -> 172.16.0.0/12",
    ],
    ["exempted by a rule before", [[
      "POSTROUTING",
      "daddr=172.16.0.0/12 return",
    ], ["POSTROUTING", "masquerade"]], undefined],
    ["accepted by a rule before", [
      ["POSTROUTING", "daddr=172.0.0.0/8 accept"],
      ["POSTROUTING", "masquerade"],
    ], undefined],
    [
      "ipMasq of the CNI plugins",
      [
        ["POSTROUTING", "saddr=172.16.0.5 jump:CNI-1"],
        ["CNI-1", "daddr=172.16.0.0/22 accept"],
        ["CNI-1", "daddr!=224.0.0.0/4 MASQUERADE"],
      ],
      "ip nat CNI-1: ip daddr != 224.0.0.0/4 MASQUERADE -> 172.16.0.0/12",
    ],
    ["ipMasq of another network", [
      ["POSTROUTING", "saddr=10.9.0.5 jump:CNI-1"],
      ["CNI-1", "daddr!=224.0.0.0/4 MASQUERADE"],
    ], undefined],
    ["marks, as Kubernetes sets them", [
      ["POSTROUTING", "jump:KUBE"],
      ["KUBE", "mark return"],
      ["KUBE", "masquerade"],
    ], undefined],
    [
      "marks, and a rule behind them",
      [
        ["POSTROUTING", "jump:KUBE"],
        ["POSTROUTING", "oif masquerade"],
        ["KUBE", "mark return"],
        ["KUBE", "masquerade"],
      ],
      "ip nat POSTROUTING: oif masquerade -> 172.16.0.0/12",
    ],
    ["an accept on what is not known", [["POSTROUTING", "mark accept"], [
      "POSTROUTING",
      "masquerade",
    ]], undefined],
    [
      "some accepted by address",
      [["POSTROUTING", "saddr=172.16.0.7 accept"], [
        "POSTROUTING",
        "saddr=172.16.0.0/24 masquerade",
      ]],
      "ip nat POSTROUTING: ip saddr 172.16.0.0/24 masquerade -> 172.16.0.0/12",
    ],
  ];
  for (const [name, lines, found] of rows) {
    await t.step(
      name,
      () =>
        assert.deepEqual(
          rewrites("ip", lines),
          found === undefined ? [] : [found],
        ),
    );
  }
});

Deno.test("findRewrites() looks at both families where the table has both", () => {
  const lines: readonly Line[] = [["POSTROUTING", "masquerade"]];
  const at = "nat POSTROUTING: masquerade ->";
  assert.deepEqual(rewrites("inet", lines), [
    `inet ${at} 172.16.0.0/12`,
    `inet ${at} fd00:16::/48`,
  ]);
  assert.deepEqual(rewrites("ip6", lines), [`ip6 ${at} fd00:16::/48`]);
  assert.deepEqual(
    rewrites("inet", [["POSTROUTING", "saddr!=10.0.0.0/8 masquerade"]]).length,
    1,
  );
  assert.deepEqual(rewrites("ip", lines, "filter"), []);
});
