import assert from "node:assert/strict";
import { parseBatchFailures } from "../../../src/routes/plan/ip_batch.ts";

Deno.test("parseBatchFailures() tells which lines failed, and why", async (t) => {
  const rows: readonly [
    name: string,
    stderr: string,
    lines: readonly (readonly [number, string])[],
    rest: string,
  ][] = [
    ["nothing", "", [], ""],
    [
      "two lines",
      "RTNETLINK answers: File exists\nCommand failed -:2\n" +
      "Error: Nexthop has invalid gateway.\nCommand failed -:17\n",
      [
        [2, "RTNETLINK answers: File exists"],
        [17, "Error: Nexthop has invalid gateway."],
      ],
      "",
    ],
    [
      "several lines of text for one",
      "Error: a.\n\nError: b.\nCommand failed -:1\n",
      [[1, "Error: a.; Error: b."]],
      "",
    ],
    ["no text", "Command failed -:3\n", [[3, "it failed"]], ""],
    [
      "ip left off",
      "RTNETLINK answers: File exists\nCommand failed -:1\n" +
      'Error: any valid prefix is expected rather than "x".\n',
      [[1, "RTNETLINK answers: File exists"]],
      'Error: any valid prefix is expected rather than "x".',
    ],
  ];
  for (const [name, stderr, lines, rest] of rows) {
    await t.step(name, () => {
      const failures = parseBatchFailures(stderr);
      assert.deepEqual([...failures.lines], lines);
      assert.equal(failures.rest, rest);
    });
  }
});
