import assert from "node:assert/strict";
import {
  type AstrayPackets,
  findAstrayRule,
  parsePolicyRules,
} from "../../../src/host/plan/policy_rules.ts";
import { parseAddress } from "../../../src/net/address.ts";

/** The rules that every host has, as `ip -json -N rule show` prints them. */
const STANDARD = [
  { priority: 0, src: "all", table: "255" },
  { priority: 32766, src: "all", table: "254" },
  { priority: 32767, src: "all", table: "253" },
];
const TO = { src: "all", dst: "172.16.4.0", dstlen: 22 };
const FROM = { src: "172.16.0.0", srclen: 22 };

/** Rules besides the standard ones, the packets, and the preference that is found. */
const ROWS: Readonly<
  Record<
    string,
    readonly [
      rules: readonly object[],
      packets: { readonly source?: string; readonly table?: string },
      preference: number | undefined,
    ]
  >
> = {
  "no other rule": [[], {}, undefined],
  "a rule for all": [[{ priority: 9, src: "all", table: "7" }], {}, 9],
  "a rule that refuses": [[{ priority: 9, ...TO, action: "8" }], {}, 9],
  "the rule of another table": [
    [{ priority: 9, ...TO, table: "7" }, { priority: 8, ...TO, table: "6" }],
    { table: "7" },
    9,
  ],
  "two rules that may be it": [
    [{ priority: 9, ...TO, table: "7" }, { priority: 8, ...TO, action: "6" }],
    {},
    undefined,
  ],
  "two rules with one preference": [
    [{ priority: 9, ...TO, table: "7" }, {
      ...{ priority: 9, src: "all", dst: "10.0.0.0", dstlen: 8, table: "6" },
    }],
    {},
    undefined,
  ],
  "a rule for another destination": [
    [{ priority: 9, src: "all", dst: "172.16.8.1", table: "7" }],
    {},
    undefined,
  ],
  "a rule for the source": [
    [{ priority: 9, ...FROM, table: "7" }],
    { source: "172.16.0.2" },
    9,
  ],
  "a rule for another source": [
    [{ priority: 9, ...FROM, table: "7" }],
    { source: "172.16.8.2" },
    undefined,
  ],
};

Deno.test("findAstrayRule() finds the one rule that can lead packets astray", async (t) => {
  for (const [name, [rules, packets, preference]] of Object.entries(ROWS)) {
    await t.step(name, () => {
      const text = JSON.stringify([...STANDARD, ...rules]);
      const { source, table } = packets;
      const asked: AstrayPackets = {
        target: parseAddress("172.16.4.1"),
        source: source === undefined ? undefined : parseAddress(source),
        table,
      };
      const found = findAstrayRule(parsePolicyRules(text), asked);
      assert.equal(found?.preference, preference);
    });
  }
});

Deno.test("parsePolicyRules() refuses what ip does not print", () => {
  assert.throws(
    () => parsePolicyRules('[{"priority": 1, "src": "somewhere"}]'),
    SyntaxError,
  );
  assert.throws(() => parsePolicyRules('[{"priority": "1"}]'), SyntaxError);
});
