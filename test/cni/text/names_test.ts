import assert from "node:assert/strict";
import {
  checkContainerId,
  checkInterfaceName,
  checkNetworkName,
  checkSocketPath,
} from "../../../src/cni/text/names.ts";
import {
  parseContainerId,
  parseInterfaceName,
  parseNetworkName,
} from "../../../src/base/names.ts";

const NAMES: readonly [text: string, isValid: boolean][] = [
  ["a", true],
  ["Az09_.-", true],
  ["0".repeat(253), true],
  ["", false],
  ["0".repeat(254), false],
  ["bad/id", false],
  [".a", false],
  ["-a", false],
  ["_a", false],
  ["a b", false],
  ["a\n", false],
  ["ä", false],
];

const INTERFACES: readonly [text: string, isValid: boolean][] = [
  ["eth0", true],
  ["e", true],
  ["a".repeat(15), true],
  ["ü".repeat(7), true],
  ["...", true],
  ["a@b", true],
  ["", false],
  ["a".repeat(16), false],
  ["a".repeat(17), false],
  ["ü".repeat(8), false],
  [".", false],
  ["..", false],
  ["a/b", false],
  ["a:b", false],
  ["a b", false],
  ["a\tb", false],
  ["a\u00a0b", false],
  ["a\u0000", false],
  ["a\u200bb", false],
];

/** Whether a parser of src/base/names.ts, which the agent uses, takes a name. */
function takes(parse: (text: string) => string, text: string): boolean {
  try {
    return parse(text) === text;
  } catch {
    return false;
  }
}

Deno.test("checkContainerId() and checkNetworkName() keep to the grammar of the specification", async (t) => {
  for (const [text, isValid] of NAMES) {
    await t.step(JSON.stringify(text.slice(0, 20)), () => {
      assert.equal(checkContainerId(text) === undefined, isValid);
      assert.equal(checkNetworkName(text) === undefined, isValid);
      // What passes here passes with the agent.
      assert.ok(!isValid || takes(parseContainerId, text));
      assert.equal(takes(parseNetworkName, text), isValid);
    });
  }
});

Deno.test("checkInterfaceName() accepts the same names as the agent", async (t) => {
  for (const [text, isValid] of INTERFACES) {
    await t.step(JSON.stringify(text), () => {
      assert.equal(checkInterfaceName(text) === undefined, isValid);
      assert.equal(takes(parseInterfaceName, text), isValid);
    });
  }
});

Deno.test("checkSocketPath() takes absolute paths that the kernel has room for, counted in bytes", async (t) => {
  const rows: readonly [path: string, isValid: boolean][] = [
    ["/run/stellar-net/agent.sock", true],
    [`/${"a".repeat(106)}`, true],
    [`/${"a".repeat(107)}`, false],
    [`/${"é".repeat(53)}`, true],
    [`/${"é".repeat(53)}a`, false],
    ["", false],
    ["agent.sock", false],
    ["./agent.sock", false],
    ["/a\0b", false],
  ];
  for (const [path, isValid] of rows) {
    await t.step(JSON.stringify(path).slice(0, 40), () => {
      assert.equal(checkSocketPath(path) === undefined, isValid);
    });
  }
});
