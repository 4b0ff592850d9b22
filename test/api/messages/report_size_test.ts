import assert from "node:assert/strict";
import {
  decodeReport,
  encodeReport,
} from "../../../src/api/messages/cluster.ts";
import { boundReport, type Report } from "../../../src/cluster/plan/report.ts";
import { REPORT } from "../../cluster/plan/reports.ts";

/** A report in which everything is as large as it can be. */
function largest(text: string): Report {
  return {
    ...REPORT,
    version: "1".repeat(64),
    bootId: crypto.randomUUID(),
    startedAtMs: 4_000_000_000_000,
    subnets: Array.from({ length: 8 }, (_, i) => ({
      cidr: `fd00:1234:5678:9abc:def0:1234:567${i}:0/112`,
      capacity: Number.MAX_SAFE_INTEGER,
      held: Number.MAX_SAFE_INTEGER,
      cooling: Number.MAX_SAFE_INTEGER,
      perDay: 0.1,
      fullAtMs: 4_000_000_000_000,
    })),
    leaked: 2 ** 31 - 1,
    queued: 2 ** 31 - 1,
    routes: {
      wanted: 2 ** 31 - 1,
      installed: 2 ** 31 - 1,
      conflicts: 2 ** 31 - 1,
      unresolved: 2 ** 31 - 1,
    },
    problems: Array.from({ length: 40 }, (_, i) => ({
      code: `a-problem-${i}`,
      severity: "error",
      text: text.repeat(1_000),
      fix: text.repeat(240),
      subject: text.repeat(64),
    })),
  };
}

for (const text of ["x", "\u00e4", "\u754c"]) {
  Deno.test(`decodeReport() takes the largest bounded report with texts of "${text}"`, () => {
    const bytes = encodeReport(boundReport(largest(text)));
    const { problems } = decodeReport(bytes);
    assert.equal(problems.at(-1)?.code, "more-problems");
    assert.match(
      problems.at(-1)!.text,
      new RegExp(`^${41 - problems.length} `),
    );
  });
}

Deno.test("decodeReport() refuses more than 4 KiB", () => {
  const [problem] = largest("x").problems;
  const report = { ...REPORT, problems: Array(8).fill(problem) };
  assert.throws(() => decodeReport(encodeReport(report)), {
    code: "invalid_argument",
    message: /^Invalid field "report": it has \d{5} bytes, more than 4096$/,
  });
});
