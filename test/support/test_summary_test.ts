import assert from "node:assert/strict";
import {
  addSummaries,
  formatSummary,
  readFailures,
  readHung,
  readSummary,
  readTimes,
} from "./test_summary.ts";

const NONE = addSummaries([]);

for (
  const [name, output, exitCode, expected] of [
    ["a success", "ok | 12 passed | 0 failed (2s)\n", 0, { passed: 12 }],
    [
      "steps, ignored and filtered tests",
      "ok | 12 passed (3 steps) | 0 failed | 1 ignored | 4 filtered out (2s)",
      0,
      { passed: 12, steps: 3, ignored: 1, filteredOut: 4 },
    ],
    [
      "a failure",
      "FAILED | 1 passed (1 step) | 2 failed (1 step) (1m2s)\n\nerror: Test failed",
      1,
      { passed: 1, steps: 1, failed: 2 },
    ],
    ["output without a summary", "error: Module not found", 1, { failed: 1 }],
    ["no output and exit code 0", "", 0, { failed: 1 }],
    [
      "an exit code that the summary does not explain",
      "ok | 5 passed | 0 failed (2s)",
      137,
      { passed: 5, failed: 1 },
    ],
    [
      "only the last of several summaries",
      "ok | 7 passed | 0 failed (1s)\nok | 5 passed | 0 failed (2s)",
      0,
      { passed: 5 },
    ],
  ] as const
) {
  Deno.test(`readSummary() counts ${name}`, () => {
    assert.deepEqual(readSummary(output, exitCode), { ...NONE, ...expected });
  });
}

Deno.test("formatSummary() writes what readSummary() reads", () => {
  const summary = addSummaries([
    { ...NONE, passed: 3, steps: 9, ignored: 1 },
    { ...NONE, passed: 4, failed: 2, filteredOut: 5 },
  ]);
  const line = formatSummary(summary, 184);
  assert.equal(
    line,
    "FAILED | 7 passed (9 steps) | 2 failed | 1 ignored | 5 filtered out (3m4s)",
  );
  assert.deepEqual(readSummary(line, 1), summary);
});

Deno.test("readFailures() and readTimes() find tests, and no steps", () => {
  const output = `running 2 tests from ./test/a_test.ts
one ...
  a step ... ok (3ms)
one ... ok (1m7s)
two ... FAILED (due to 1 failed step) (250ms)

 ERRORS 

two => ./test/a_test.ts:3:6
error: x

 FAILURES 

two => ./test/a_test.ts:3:6
./test/b_test.ts (uncaught error)

FAILED | 1 passed (1 step) | 2 failed (1m8s)
`;
  assert.deepEqual(readFailures(output), [
    "two => ./test/a_test.ts:3:6",
    "./test/b_test.ts (uncaught error)",
  ]);
  assert.deepEqual(readTimes(output), [
    { name: "one", seconds: 67 },
    { name: "two", seconds: 0.25 },
  ]);
});

Deno.test("readHung() names the test that a killed process was running", async (t) => {
  const done = "a ... ok (1s)\nb ...\n  first ... ok (1ms)\nb ... ok (2s)\n";
  for (
    const [name, output, expected] of [
      ["none", done, undefined],
      ["a test that has written nothing", `${done}c's test ... `, "c's test"],
      [
        "a test in its second step",
        `${done}c ...\n  first ... ok (1ms)\n  second ... `,
        "c",
      ],
      [
        "a test that has written a line",
        `${done}c ...\n------- output -------\nline\n`,
        "c",
      ],
    ] as const
  ) {
    await t.step(name, () => assert.equal(readHung(output), expected));
  }
});
