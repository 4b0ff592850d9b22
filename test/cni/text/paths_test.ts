import assert from "node:assert/strict";
import { checkSocketPath } from "../../../src/cni/text/paths.ts";

Deno.test("checkSocketPath() takes absolute paths that the kernel has room for, counted in bytes", async (t) => {
  const rows: readonly [path: string, isValid: boolean][] = [
    ["/run/stellar-net/agent.sock", true],
    [`/${"a".repeat(106)}`, true],
    [`/${"a".repeat(107)}`, false],
    [`/${"é".repeat(53)}`, true],
    [`/${"é".repeat(53)}a`, false],
    ["", false],
    ["agent.sock", false],
    ["../agent.sock", false],
    ["/a\0b", false],
  ];
  for (const [path, isValid] of rows) {
    await t.step(JSON.stringify(path).slice(0, 40), () => {
      assert.equal(checkSocketPath(path) === undefined, isValid);
    });
  }
});
