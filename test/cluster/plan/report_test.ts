import assert from "node:assert/strict";
import { boundReport, type Problem } from "../../../src/cluster/plan/report.ts";
import { REPORT } from "./reports.ts";

function problems(count: number): Problem[] {
  return Array.from({ length: count }, (_, i) => ({
    code: `p${String(i).padStart(3, "0")}`,
    severity: i % 2 === 0 ? "warning" : "error",
    text: "x".repeat(1000),
    fix: i === 1 ? "y".repeat(1000) : "ok",
  }));
}

Deno.test("boundReport() leaves a small report as it is", () => {
  assert.deepEqual(boundReport(REPORT), REPORT);
});

Deno.test("boundReport() keeps errors, counts the rest, cuts texts and drops long commands", () => {
  const bounded = boundReport({ ...REPORT, problems: problems(40) });
  assert.equal(bounded.problems.length, 12);
  const [first, ...others] = bounded.problems;
  assert.equal(first?.code, "p001");
  assert.equal(first?.fix, "");
  assert.ok(bounded.problems.every(({ text }) => text.length <= 240));
  assert.equal(others.at(-1)?.text, "29 more problems are not in the report");
  assert.ok(others.slice(0, -1).every(({ severity }) => severity === "error"));
});
