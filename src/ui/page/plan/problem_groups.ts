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

/**
 * The hosts of problems with the number of each, those with most first: a host
 * that several others complain of is often the cause.
 */
export function countByHost(
  problems: readonly Problem[],
): (readonly [name: string, count: number])[] {
  const counts = new Map<string, number>();
  for (const { node } of problems) {
    counts.set(node, (counts.get(node) ?? 0) + 1);
  }
  return [...counts].sort(([, a], [, b]) => b - a);
}

/** Problems of a code, in words for several of them. */
const NOUNS: Readonly<Record<string, string>> = {
  "path-dead": "dead paths",
  "path-narrow": "paths that lose large packets",
  "path-lossy": "paths that lose packets",
  unreachable: "unreachable hosts",
  identity: "hosts with a doubtful identity",
  "registry-unreachable": "hosts that do not reach the registry",
  fenced: "fenced hosts",
  refused: "refused hosts",
  left: "hosts that have left",
  cloned: "copies of hosts",
  migrating: "hosts that wait for the migration of the store",
  "restore-grace": "hosts that wait for the grace period after a restore",
  "subnet-full": "full subnets",
  leaks: "hosts with leaked addresses",
  "queued-releases": "hosts with queued releases",
  "route-conflict": "hosts with routes in conflict",
  "route-missing": "hosts with missing routes",
  routes: "hosts whose kernel does not take routes",
  "host-network": "faults of host networks",
  host: "warnings of hosts",
  "more-problems": "hosts with more problems than a report holds",
};

/** What a group of several problems is: "42 dead paths". */
export function describeGroup({ code, problems }: ProblemGroup): string {
  const noun = Object.hasOwn(NOUNS, code) ? NOUNS[code] : `problems "${code}"`;
  return `${problems.length} ${noun}`;
}
