/** How severe a problem is: packets or addresses are lost, or will be. */
export type Severity = "error" | "warning";

/** A fault that a host knows of itself. */
export interface Problem {
  /** A short name that stays the same, such as `route-conflict`. */
  readonly code: string;
  readonly severity: Severity;
  /** What is true now, as a sentence. */
  readonly text: string;
  /** The command that fixes it; empty if none does. */
  readonly fix: string;
  /** What it is about, such as a peer, where one code stands for several. */
  readonly subject?: string;
}

/** The use of one subnet of a host. */
export interface SubnetUse {
  readonly cidr: string;
  /** Addresses for containers; a float, since a /64 has more than an int holds. */
  readonly capacity: number;
  readonly held: number;
  readonly cooling: number;
  /** Growth in addresses a day; undefined for less than a day of samples. */
  readonly perDay: number | undefined;
  /** When it will be full, in ms since 1970; undefined if it does not grow. */
  readonly fullAtMs: number | undefined;
}

/** A host's account of its own health and use. */
export interface Report {
  readonly version: string;
  readonly startedAtMs: number;
  /** Changes with each boot of the host (random(4)). */
  readonly bootId: string;
  readonly subnets: readonly SubnetUse[];
  readonly leaked: number;
  /** Releases that wait on disk. */
  readonly queued: number;
  readonly routes: {
    readonly wanted: number;
    readonly installed: number;
    readonly conflicts: number;
    readonly unresolved: number;
  };
  readonly problems: readonly Problem[];
  /** Its paths by state; undefined if it sends no probes. */
  readonly probes?: ProbeSummary;
}

/** Paths from a host to its peers, by what probes found. */
export type ProbeSummary = Readonly<
  Record<
    "alive" | "lossy" | "narrow" | "dead" | "unanswered" | "unmeasured",
    number
  >
>;

/** Largest encoded report, in bytes: a registry keeps one for each host. */
export const MAX_REPORT_BYTES = 4096;
/** Problems that a report carries; the last one counts the rest. */
const MAX_PROBLEMS = 12;
/** Bytes of their texts, in UTF-8: everything else in a report takes less than 1 KiB. */
const MAX_PROBLEM_BYTES = 3_200;
/** Bytes of a problem besides its texts. */
const PROBLEM_OVERHEAD = 15;
const MAX_TEXT = 240;

/**
 * Shortens a report so that its encoded form stays below
 * {@linkcode MAX_REPORT_BYTES}: long texts are cut, and a problem that says how
 * many were left out takes the place of the others.
 */
export function boundReport(report: Report): Report {
  const problems = sortProblems(report.problems).map((problem) => ({
    ...problem,
    text: cut(problem.text),
    // A command that is cut does harm.
    fix: problem.fix.length > MAX_TEXT ? "" : problem.fix,
  }));
  const most = countFitting(problems);
  if (problems.length <= most) return { ...report, problems };
  const left = problems.length - most + 1;
  return {
    ...report,
    problems: [
      ...problems.slice(0, most - 1),
      {
        code: "more-problems",
        severity: "warning",
        text: `${left} more problems are not in the report`,
        fix: "stellar-net doctor",
      },
    ],
  };
}

/** The number of the first problems that fit into a report. */
function countFitting(problems: readonly Problem[]): number {
  const encoder = new TextEncoder();
  let bytes = 0;
  const end = problems.findIndex(({ code, text, fix, subject = "" }) => {
    bytes += PROBLEM_OVERHEAD +
      encoder.encode(code + text + fix + subject).length;
    return bytes > MAX_PROBLEM_BYTES;
  });
  return Math.min(end === -1 ? problems.length : end, MAX_PROBLEMS);
}

/** Errors before warnings, each in the order of their codes. */
export function sortProblems<P extends Problem>(problems: readonly P[]): P[] {
  return [...problems].sort((a, b) =>
    Number(a.severity === "warning") - Number(b.severity === "warning") ||
    (a.code < b.code ? -1 : a.code > b.code ? 1 : 0)
  );
}

function cut(text: string): string {
  return text.length <= MAX_TEXT ? text : `${text.slice(0, MAX_TEXT - 1)}…`;
}
