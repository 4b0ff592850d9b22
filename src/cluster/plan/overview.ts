import { type Problem, type Report, sortProblems } from "./report.ts";

/** A host as the registry knows it, with its last report. */
export interface HostView {
  readonly name: string;
  readonly state: "ready" | "unreachable" | "no agent";
  /** Undefined if the registry has none. */
  readonly report: Report | undefined;
}

export interface HostProblem extends Problem {
  readonly node: string;
}

/**
 * The problems of all hosts, errors first: those that the hosts report of
 * themselves, and the hosts that report nothing.
 */
export function collectProblems(hosts: readonly HostView[]): HostProblem[] {
  return sortProblems(hosts.flatMap((host) => {
    const { name: node, state, report } = host;
    // The last report of a host that is silent describes the past.
    if (state === "unreachable") {
      return [{
        node,
        code: "unreachable",
        severity: "error" as const,
        text:
          `${node} sends no heartbeats; it keeps its subnets and its routes`,
        fix: `stellar-net doctor ${node}`,
      }];
    }
    return (report?.problems ?? []).map((problem) => ({ node, ...problem }));
  }));
}

/** The verdict in one line: "3 problems on 2 of 41 hosts". */
export function describeVerdict(
  problems: readonly HostProblem[],
  hosts: number,
): string {
  const of = hosts === 1 ? "1 host" : `${hosts} hosts`;
  if (problems.length === 0) return `No problems on ${of}`;
  const affected = new Set(problems.map(({ node }) => node)).size;
  const count = problems.length === 1
    ? "1 problem"
    : `${problems.length} problems`;
  return `${count} on ${affected} of ${of}`;
}
