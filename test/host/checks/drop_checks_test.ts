import assert from "node:assert/strict";
import { checkForwardDrops } from "../../../src/host/checks/drop_checks.ts";
import { formatCheck } from "../../../src/host/checks/check.ts";
import type { ForwardFilter } from "../../../src/host/plan/forward_plan.ts";
import type { ChainRule } from "../../../src/host/plan/packet_chain.ts";
import { parsePrefix } from "../../../src/net/prefix.ts";
import { hostDesired, hostLink, hostState } from "../plan/host_plans.ts";

/** A rule that drops what comes from a prefix. */
function drop(from: string, more: Partial<ChainRule> = {}): ChainRule {
  return {
    ...{ id: "7", text: `ip saddr ${from} drop`, comment: "" },
    action: { kind: "drop" },
    conditions: [
      { field: "saddr", prefix: parsePrefix(from), isNegated: false },
    ],
    ...more,
  };
}

function filter(
  rules: readonly ChainRule[],
  changes: Partial<ForwardFilter> = {},
): ForwardFilter {
  const base = { type: "filter", hook: "forward", priority: 0 } as const;
  const chain = {
    name: "c",
    base: { ...base, policy: "accept" },
    rules,
  } as const;
  return {
    ...{ tool: "nft", family: "ip", table: "t", chain },
    chains: new Map([["c", chain]]),
    ...changes,
  };
}

Deno.test("checkForwardDrops() names the rules that drop all packets of containers", async (t) => {
  const rows: readonly (readonly [
    name: string,
    filter: ForwardFilter,
    lines: readonly RegExp[],
  ])[] = [
    ["a rule for the network", filter([drop("172.16.0.0/12")]), [
      /^packet filter: "ip t c: ip saddr 172.16.0.0\/12 drop" drops packets of containers; .*: nft delete rule ip t c handle 7$/,
    ]],
    ["a rule for other addresses", filter([drop("10.0.0.0/8")]), []],
    ["a rule for one container", filter([drop("172.16.0.9/32")]), []],
    [
      "a rule with a condition that is not understood",
      filter([drop("172.16.0.0/12", { hasOtherConditions: true })]),
      [],
    ],
    [
      "a rule of the agent",
      filter([drop("172.16.0.0/12", { comment: "stellar-net" })]),
      [],
    ],
    [
      "a rule behind those of the agent",
      filter([
        drop("172.16.0.9/32", { comment: "stellar-net in" }),
        drop("172.16.0.0/12"),
      ]),
      [],
    ],
    [
      "a rule of iptables",
      filter([{
        ...{ id: "-s 172.16.0.0/12 -j DROP", comment: "" },
        text: "-s 172.16.0.0/12 -j DROP",
      }], { tool: "iptables-legacy", table: "filter" }),
      [
        /: iptables-legacy -t filter -D c -s 172.16.0.0\/12 -j DROP$/,
      ],
    ],
  ];
  const links = [hostLink("br0", "bridge", ["172.16.0.1/22"])];
  for (const [name, of, lines] of rows) {
    await t.step(name, () => {
      const found = checkForwardDrops(
        hostDesired(),
        hostState({
          ...{ filters: [of], interfaces: { links, defaultRoutes: [] } },
        }),
      ).map(formatCheck);
      assert.equal(found.length, lines.length, found.join("\n"));
      lines.forEach((line, at) => assert.match(found[at]!, line));
    });
  }
});
