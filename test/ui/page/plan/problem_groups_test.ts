import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import {
  ProblemSchema,
  Severity,
} from "../../../../src/gen/stellar/net/v1/cluster_pb.ts";
import {
  countByHost,
  describeGroup,
  groupProblems,
} from "../../../../src/ui/page/plan/problem_groups.ts";

function problem(node: string, code: string, severity = Severity.WARNING) {
  return create(ProblemSchema, { node, code, severity });
}

Deno.test("groupProblems() gathers one code and severity, in the order of the first", () => {
  const groups = groupProblems([
    problem("a", "path", Severity.ERROR),
    problem("b", "path", Severity.ERROR),
    problem("b", "path", Severity.ERROR),
    problem("a", "path"),
    problem("a", "insecure"),
    problem("c", "path"),
  ]);
  assert.deepEqual(
    groups.map(({ code, severity, problems }) => [
      ...[code, severity, countByHost(problems).join(" ")],
    ]),
    [
      ["path", Severity.ERROR, "b,2 a,1"],
      ["path", Severity.WARNING, "a,1 c,1"],
      ["insecure", Severity.WARNING, "a,1"],
    ],
  );
});

Deno.test("describeGroup() names the kind, known or not", () => {
  const texts = ["path-dead", "of-tomorrow", "constructor"].map((code) =>
    describeGroup(groupProblems([problem("a", code), problem("b", code)])[0]!)
  );
  assert.deepEqual(texts, [
    "2 dead paths",
    '2 problems "of-tomorrow"',
    '2 problems "constructor"',
  ]);
});
