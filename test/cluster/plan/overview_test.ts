import assert from "node:assert/strict";
import {
  collectProblems,
  describeVerdict,
  type HostView,
} from "../../../src/cluster/plan/overview.ts";
import type { Problem } from "../../../src/cluster/plan/report.ts";
import { REPORT } from "./reports.ts";

function host(
  name: string,
  options: {
    readonly state?: HostView["state"];
    readonly problems?: readonly Problem[];
  } = {},
): HostView {
  const { state = "ready", problems = [] } = options;
  return { name, state, report: { ...REPORT, problems } };
}

const LOW: Problem = { code: "b", severity: "warning", text: "low", fix: "" };
const HIGH: Problem = { code: "z", severity: "error", text: "high", fix: "x" };

Deno.test("collectProblems() puts errors first, and distrusts the report of a silent host", () => {
  const hosts = [
    host("a", { problems: [LOW, HIGH] }),
    host("b", { state: "unreachable", problems: [LOW] }),
    host("c"),
    { name: "d", state: "ready" as const, report: undefined },
    { name: "e", state: "no agent" as const, report: undefined },
  ];
  assert.deepEqual(
    collectProblems(hosts).map(({ node, code }) => `${node} ${code}`),
    ["b unreachable", "a z", "a b"],
  );
});

Deno.test("collectProblems() does not say of a host that the registry refuses that it keeps anything", () => {
  const identityProblem = "the registry has fenced it";
  const silent = host("a", { state: "unreachable" });
  const found = collectProblems([
    { ...silent, name: "refused", identityProblem, isRefused: true },
    { ...silent, name: "silent", identityProblem },
    { ...host("b", { problems: [LOW] }), identityProblem },
  ]);
  assert.deepEqual(
    found.map(({ node, code }) => `${node} ${code}`).sort(),
    [
      "b b",
      "b identity",
      "refused identity",
      "silent identity",
      "silent unreachable",
    ],
  );
  assert.equal(found[0]!.text, identityProblem);
});

Deno.test("describeVerdict() counts problems and the hosts that have them", async (t) => {
  const on = (...nodes: readonly string[]) =>
    nodes.map((node) => ({ node, ...LOW }));
  const rows: readonly [ReturnType<typeof on>, hosts: number, text: string][] =
    [
      [on(), 3, "No problems on 3 hosts"],
      [on(), 1, "No problems on 1 host"],
      [on("a"), 1, "1 problem on 1 of 1 host"],
      [on("a", "a", "b"), 41, "3 problems on 2 of 41 hosts"],
    ];
  for (const [problems, hosts, text] of rows) {
    await t.step(text, () => {
      assert.equal(describeVerdict(problems, hosts), text);
    });
  }
});
