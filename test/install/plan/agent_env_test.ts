import assert from "node:assert/strict";
import fc from "fast-check";
import {
  parseEnvironment,
  setVariables,
} from "../../../src/install/plan/agent_env.ts";
import { run } from "../../support/run.ts";

Deno.test("parseEnvironment() reads what systemd and shells read", async (t) => {
  const rows: readonly [
    text: string,
    variables: readonly [string, string][],
  ][] = [
    ["", []],
    ["A=b\n", [["A", "b"]]],
    ["A=b", [["A", "b"]]],
    ["# A=b\n\nB=c\n", [["B", "c"]]],
    ["A=b\nA=c\n", [["A", "c"]]],
    ["  A=b  \n", [["A", "b"]]],
    ["A=\n", [["A", ""]]],
    ['A="b c"\n', [["A", "b c"]]],
    ["A='b c'\n", [["A", "b c"]]],
    ['A="b\\"\\$\\`\\\\c"\n', [["A", 'b"$`\\c']]],
    ["A='b\"'\n", [["A", 'b"']]],
    ["A=[::1]:9000,127.0.0.1:9000\n", [["A", "[::1]:9000,127.0.0.1:9000"]]],
    ["not a variable\n1A=b\n", []],
  ];
  for (const [text, variables] of rows) {
    await t.step(JSON.stringify(text), () => {
      assert.deepEqual([...parseEnvironment(text)], variables);
    });
  }
});

Deno.test("setVariables() changes what it is told to, in its place", async (t) => {
  const rows: readonly [
    name: string,
    text: string,
    values: readonly [string, string][],
    expected: string,
  ][] = [
    ["nothing", "# x\nA=b\n", [], "# x\nA=b\n"],
    ["the same value", "A='b'", [["A", "b"]], "A='b'"],
    ["a new one", "# x\nA=b\n", [["B", "c"]], "# x\nA=b\nB=c\n"],
    ["without a last newline", "A=b", [["B", "c"]], "A=b\nB=c\n"],
    ["another value", "A=b\n# x\nB=c\n", [["A", "d"]], "A=d\n# x\nB=c\n"],
    ["one of several lines", "A=b\n\nA=c\n", [["A", "d"]], "A=d\n\n"],
    ["a value of words", "", [["A", 'b "c" $d']], 'A="b \\"c\\" \\$d"\n'],
    ["not what is commented", "#A=b\n", [["A", "c"]], "#A=b\nA=c\n"],
  ];
  for (const [name, text, values, expected] of rows) {
    await t.step(name, () => {
      assert.equal(setVariables(text, new Map(values)), expected);
    });
  }
});

const VALUE = fc.string({ unit: "grapheme-ascii" });

Deno.test("parseEnvironment() gives back what setVariables() has set", () => {
  const values = fc.dictionary(fc.stringMatching(/^[A-Z]{1,3}$/), VALUE);
  fc.assert(fc.property(values, values, (before, after) => {
    const first = setVariables("", new Map(Object.entries(before)));
    const text = setVariables(first, new Map(Object.entries(after)));
    assert.deepEqual(
      new Map([...parseEnvironment(text)].sort()),
      new Map(Object.entries({ ...before, ...after }).sort()),
    );
    assert.equal(setVariables(text, new Map(Object.entries(after))), text);
  }));
});

Deno.test("a shell reads the variables of setVariables()", async () => {
  const values = fc.sample(VALUE, { numRuns: 100, seed: 1 });
  const variables = new Map(values.map((value, i) => [`V${i}`, value]));
  const text = setVariables("", variables);
  const script = `${text}\n${
    values.map((_, i) => `printf '%s\\0' "$V${i}"`).join("\n")
  }\n`;
  const { stdout, stderr } = await run("sh", ["-eu", "-c", script]);
  assert.equal(stderr, "");
  assert.deepEqual(stdout.split("\0").slice(0, -1), values);
});
