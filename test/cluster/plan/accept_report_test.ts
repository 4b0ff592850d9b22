import assert from "node:assert/strict";
import { acceptReport } from "../../../src/cluster/plan/accept_report.ts";
import type { Report } from "../../../src/cluster/plan/report.ts";
import { parsePrefix } from "../../../src/net/prefix.ts";
import { REPORT } from "./reports.ts";

const OWN = [parsePrefix("172.16.0.0/22")];
const [USE] = REPORT.subnets;
const PROBES = {
  ...{ alive: 0, lossy: 0, narrow: 0 },
  ...{ dead: 0, unanswered: 0, unmeasured: 0 },
};
const PROBLEM = {
  code: "route-conflict",
  severity: "error",
  text: "A route is in the way",
  fix: "ip route del 172.16.4.0/22",
} as const;

Deno.test("acceptReport() leaves the report of a healthy host as it is", () => {
  const probes = { ...PROBES, alive: 2, dead: 1 };
  const report = { ...REPORT, problems: [PROBLEM], probes };
  assert.deepEqual(acceptReport(report, OWN), report);
});

Deno.test("acceptReport() believes nothing that is not possible", async (t) => {
  const use = (fields: Partial<typeof USE>) => ({
    subnets: [{ ...USE!, ...fields }],
  });
  const problem = (
    fields: Partial<Record<keyof typeof PROBLEM | "subject", string>>,
  ) => ({
    problems: [{ ...PROBLEM, ...fields } as typeof PROBLEM],
  });
  const rows: readonly [
    what: string,
    sent: Partial<Report>,
    accepted: Partial<Report>,
  ][] = [
    ["a subnet of another host", use({ cidr: "172.16.4.0/22" }), {
      subnets: [],
    }],
    ["a subnet that is no prefix", use({ cidr: "\u001b[2J" }), { subnets: [] }],
    [
      "one subnet twice",
      { subnets: [...use({}).subnets, ...use({ held: 11 }).subnets] },
      use({ held: 11 }),
    ],
    ["endless capacity", use({ capacity: Infinity }), use({ capacity: 1024 })],
    ["no number", use({ held: NaN, perDay: NaN }), use({ held: 0 })],
    ["negative numbers", use({ held: -5, cooling: -1 }), use({ held: 0 })],
    ["more held than fit", use({ held: 9_999 }), use({ held: 1_000 })],
    ["a time beyond all dates", use({ fullAtMs: 1e300 }), use({})],
    ["a start beyond all dates", { startedAtMs: -1e300 }, { startedAtMs: 0 }],
    ["negative leaks", { leaked: -1, queued: -2 }, { leaked: 0, queued: 0 }],
    ["a version that clears the screen", { version: "1\u001b[2J" }, {
      version: "unknown",
    }],
    ["a boot id with a line break", { bootId: "a\nb" }, { bootId: "" }],
    [
      "an invalid code",
      problem({ code: "a b" }),
      problem({
        code: "unknown",
      }),
    ],
    [
      "a text with control characters",
      problem({ text: "a\u001b[31m\nb\u202e" }),
      problem({ text: "a\ufffd[31m\ufffdb\ufffd" }),
    ],
    [
      "a command with a hidden line",
      problem({ fix: "true\nrm -rf /" }),
      problem({ fix: "" }),
    ],
    ["a subject", problem({ subject: "host-2.lab" }), {
      problems: [{ ...PROBLEM, subject: "host-2.lab" }],
    }],
    ["a subject with an escape", problem({ subject: "a\u001b[2J" }), {
      problems: [PROBLEM],
    }],
    [
      "invalid counts of paths",
      { probes: { ...PROBES, alive: 1.5, dead: -1, lossy: NaN } },
      { probes: { ...PROBES, alive: 1, dead: 0, lossy: 0 } },
    ],
    ["a problem without a text", problem({ text: "" }), { problems: [] }],
    [
      "a command without an end",
      problem({ fix: "x".repeat(241) }),
      problem({
        fix: "",
      }),
    ],
  ];
  for (const [what, sent, accepted] of rows) {
    await t.step(what, () => {
      assert.deepEqual(
        acceptReport({ ...REPORT, ...sent }, OWN),
        { ...REPORT, ...accepted },
      );
    });
  }
});

Deno.test("acceptReport() bounds the problems of a report", () => {
  const problems = Array.from({ length: 1_000 }, () => PROBLEM);
  assert.equal(acceptReport({ ...REPORT, problems }, OWN).problems.length, 12);
});
