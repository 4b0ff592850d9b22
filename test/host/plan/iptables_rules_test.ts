import assert from "node:assert/strict";
import {
  mergeRules,
  parseIptablesRules,
} from "../../../src/host/plan/iptables_rules.ts";
import {
  isOwn,
  type PacketChain,
} from "../../../src/host/plan/packet_chain.ts";

function iptables(...lines: string[]): PacketChain[] {
  return parseIptablesRules(["-P INPUT ACCEPT", ...lines].join("\n"));
}

Deno.test("parseIptablesRules() keeps a rule as it is, and its comment apart", () => {
  const chains = iptables(
    "-P FORWARD DROP",
    '-A FORWARD -s 192.0.2.0/24 -m comment --comment "say \\"hi\\" \\\\ there" -j ACCEPT',
    "-A FORWARD -m comment --comment stellar-net -j ACCEPT",
    "-A FORWARD -m comment --comment stellar-netx -j ACCEPT",
  );
  const { rules } = chains.find(({ name }) => name === "FORWARD")!;
  assert.deepEqual(rules.map(({ comment }) => comment), [
    'say "hi" \\ there',
    "stellar-net",
    "stellar-netx",
  ]);
  assert.deepEqual(rules.map(isOwn), [false, true, false]);
  assert.equal(rules[0]!.text, "-s 192.0.2.0/24 -j ACCEPT");
  assert.equal(
    rules[0]!.id,
    '-s 192.0.2.0/24 -m comment --comment "say \\"hi\\" \\\\ there" -j ACCEPT',
  );
});

Deno.test("mergeRules() takes verdicts from nft and the rest from iptables", () => {
  const byIptables = iptables(
    "-P FORWARD DROP",
    "-A FORWARD -j ACCEPT",
    "-A FORWARD -m comment --comment x -j DROP",
  );
  const byNft: PacketChain[] = [{
    name: "FORWARD",
    rules: [
      { id: "7", text: "ip saddr { 192.0.2.1 } accept", comment: "" },
      { id: "8", text: "drop", comment: "", verdict: { kind: "drop" } },
    ],
  }];
  assert.deepEqual(mergeRules(byNft, byIptables), [{
    name: "FORWARD",
    rules: [
      { id: "-j ACCEPT", text: "-j ACCEPT", comment: "" },
      {
        id: "-m comment --comment x -j DROP",
        text: "-j DROP",
        comment: "x",
        verdict: { kind: "drop" },
      },
    ],
  }]);
  assert.equal(
    mergeRules(byNft, iptables("-P FORWARD DROP", "-A FORWARD -j DROP")),
    undefined,
  );
  assert.equal(mergeRules(byNft, iptables()), undefined);
});
