import assert from "node:assert/strict";
import { parseIptablesRules } from "../../../src/host/plan/iptables_rules.ts";
import {
  dropIndex,
  type PacketChain,
} from "../../../src/host/plan/packet_chain.ts";

function iptables(...lines: string[]): PacketChain[] {
  return parseIptablesRules(
    ["-P INPUT ACCEPT", ...lines].join("\n"),
  );
}

function dropAt(
  chains: readonly PacketChain[],
  name: string,
): number | undefined {
  const byName = new Map(chains.map((chain) => [chain.name, chain]));
  return dropIndex(byName.get(name)!, byName);
}

Deno.test("dropIndex() finds where a chain drops the rest", async (t) => {
  const drop = "-P FORWARD DROP";
  const accept = "-P FORWARD ACCEPT";
  const x = "-N X";
  const rows: readonly [
    name: string,
    at: number | undefined,
    lines: string[],
  ][] = [
    ["a policy of drop", 0, [drop]],
    ["a policy of drop behind rules", 2, [
      drop,
      "-A FORWARD -s 192.0.2.1/32 -j ACCEPT",
      "-A FORWARD -j LOG",
    ]],
    ["a policy of accept", undefined, [accept]],
    ["a drop with a condition", undefined, [
      accept,
      "-A FORWARD -p tcp -j DROP",
    ]],
    ["a drop without one", 1, [
      accept,
      "-A FORWARD -p tcp -j ACCEPT",
      "-A FORWARD -j DROP",
    ]],
    ["a drop with a comment", 0, [
      accept,
      '-A FORWARD -m comment --comment "a \\"b\\" -j ACCEPT" -j DROP',
    ]],
    ["a reject with an option", 0, [
      accept,
      "-A FORWARD -j REJECT --reject-with icmp-port-unreachable",
    ]],
    ["an accept before the policy", undefined, [drop, "-A FORWARD -j ACCEPT"]],
    ["an accept before a drop", undefined, [
      accept,
      "-A FORWARD -j ACCEPT",
      "-A FORWARD -j DROP",
    ]],
    ["a jump to a chain that drops", 0, [
      accept,
      x,
      "-A FORWARD -j X",
      "-A X -j DROP",
    ]],
    ["a jump with a condition to one", undefined, [
      accept,
      x,
      "-A FORWARD -p tcp -j X",
      "-A X -j DROP",
    ]],
    ["a jump to a chain that drops some", undefined, [
      accept,
      x,
      "-A FORWARD -j X",
      "-A X -p tcp -j DROP",
    ]],
    ["a jump to a chain that returns before", undefined, [
      accept,
      x,
      "-A FORWARD -j X",
      "-A X -j RETURN",
      "-A X -j DROP",
    ]],
    ["a jump to a chain that accepts", undefined, [
      drop,
      x,
      "-A FORWARD -j X",
      "-A X -j ACCEPT",
    ]],
    ["a jump over two chains", 0, [
      accept,
      x,
      "-N Y",
      "-A FORWARD -j X",
      "-A X -j Y",
      "-A Y -j DROP",
    ]],
    ["a goto in vain, and a policy of drop", 0, [
      drop,
      x,
      "-A FORWARD -g X",
      "-A FORWARD -j ACCEPT",
      "-A X -p tcp -j ACCEPT",
    ]],
    ["a goto in vain, and a policy of accept", undefined, [
      accept,
      x,
      "-A FORWARD -g X",
      "-A FORWARD -j DROP",
    ]],
    ["a return, and a policy of drop", 0, [drop, "-A FORWARD -j RETURN"]],
    ["a target of the kernel's own", undefined, [
      accept,
      "-A FORWARD -j NFLOG",
    ]],
  ];
  for (const [name, at, lines] of rows) {
    await t.step(
      name,
      () => assert.equal(dropAt(iptables(...lines), "FORWARD"), at),
    );
  }
});
