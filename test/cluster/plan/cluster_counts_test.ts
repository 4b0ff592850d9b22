import assert from "node:assert/strict";
import { countHosts } from "../../../src/cluster/plan/cluster_counts.ts";
import {
  type HostView,
  summarize,
} from "../../../src/cluster/plan/overview.ts";
import type { Problem, Severity } from "../../../src/cluster/plan/report.ts";
import { createCarve } from "../../../src/net/carve.ts";
import { parsePrefix } from "../../../src/net/prefix.ts";
import { REPORT } from "./reports.ts";

const NETWORK = createCarve(parsePrefix("172.16.0.0/12"), 22);

function problem(code: string, severity: Severity = "error"): Problem {
  return { code, severity, text: code, fix: "" };
}

function host(name: string, more: Partial<HostView> = {}): HostView {
  return { name, state: "ready", report: REPORT, ...more };
}

function count(hosts: readonly HostView[]) {
  const summary = summarize(hosts, { networks: [NETWORK], subnets: [] });
  return countHosts(hosts, summary);
}

Deno.test("countHosts() counts hosts, problems, use and routes", () => {
  const use = REPORT.subnets[0]!;
  const counts = count([
    host("a"),
    host("b", {
      report: {
        ...REPORT,
        subnets: [{ ...use, held: 900, fullAtMs: 7_000 }],
        problems: [problem("x"), problem("y", "warning")],
      },
    }),
    host("c", {
      report: { ...REPORT, problems: [problem("y", "warning")] },
    }),
    host("d", { state: "unreachable" }),
    host("e", { report: undefined }),
    host("f", { state: "no agent", report: undefined }),
  ]);
  assert.deepEqual(counts.hosts, { ready: 4, unreachable: 1, "no agent": 1 });
  assert.equal(counts.withoutReport, 1);
  // A host with both counts once, and a silent one is an error.
  assert.deepEqual(counts.troubled, { error: 2, warning: 1 });
  assert.deepEqual(counts.problems, { error: 2, warning: 2 });
  assert.equal(counts.worstUse, 0.9);
  assert.equal(counts.firstFullAtMs, 7_000);
  // The last report of a silent host counts no more.
  assert.equal(counts.routes.installed, 6);
  assert.equal(counts.networks[0]?.cidr, "172.16.0.0/12");
});

Deno.test("summarize() forecasts when a network's subnets are used up, and names the host that grows most", () => {
  const grown = (perDay: number) => ({
    report: { ...REPORT, subnets: [{ ...REPORT.subnets[0]!, perDay }] },
  });
  const { networks } = summarize(
    [host("a", grown(1)), host("b", grown(5)), host("c", grown(-9))],
    {
      networks: [NETWORK],
      subnets: [
        { subnet: parsePrefix("172.16.0.0/22"), state: "owned" },
        { subnet: parsePrefix("172.16.4.0/22"), state: "conflicting" },
        { subnet: parsePrefix("172.16.8.0/22"), state: "released" },
      ],
      forecast: ({ subject, count, capacity }) => {
        assert.deepEqual([subject, count, capacity], [
          "172.16.0.0/12",
          2,
          1024,
        ]);
        return { perDay: 3, fullAtMs: 9_000 };
      },
    },
  );
  const [use] = networks;
  assert.deepEqual(use?.fastest, { node: "b", perDay: 5 });
  assert.deepEqual([use?.perDay, use?.fullAtMs], [3, 9_000]);
});
