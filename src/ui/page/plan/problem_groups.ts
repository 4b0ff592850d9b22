import type {
  Problem,
  Severity,
} from "../../../gen/stellar/net/v1/cluster_pb.ts";

/** Problems of one kind. */
export interface ProblemGroup {
  readonly code: string;
  readonly severity: Severity;
  /** In the given order; at least one. */
  readonly problems: readonly Problem[];
}

/**
 * Gathers the problems of one code and severity, so that a fault of many hosts
 * hides no other fault. Groups are in the order of their first problems, which
 * puts errors first.
 */
export function groupProblems(problems: readonly Problem[]): ProblemGroup[] {
  const groups = Map.groupBy(
    problems,
    ({ severity, code }) => `${severity} ${code}`,
  );
  return [...groups.values()].map((group) => {
    const { code, severity } = group[0]!;
    return { code, severity, problems: group };
  });
}

/** The hosts of problems, each once. */
export function hostsOf(problems: readonly Problem[]): string[] {
  return [...new Set(problems.map(({ node }) => node))];
}
