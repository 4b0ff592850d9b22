import assert from "node:assert/strict";
import { parseEchoCounts } from "../../../src/station/plan/echo_counts.ts";

const FOUR = "Icmp: InMsgs InErrors InEchos InEchoReps\nIcmp: 9 1 5 3\n";
const SIX = "Icmp6InEchos                    \t12\n";

Deno.test("parseEchoCounts() reads the requests of both families", async (t) => {
  const rows: readonly [
    name: string,
    text: string,
    four: number,
    six: number,
  ][] = [
    ["both", FOUR + SIX, 5, 12],
    ["a kernel without IPv6", FOUR, 5, 0],
    ["nothing", "", 0, 0],
  ];
  for (const [name, text, four, six] of rows) {
    await t.step(name, () => {
      assert.deepEqual(parseEchoCounts(text), { 4: four, 6: six });
    });
  }
});
