import { type Carve, sliceCount } from "../../net/carve.ts";
import {
  containsPrefix,
  formatPrefix,
  parsePrefix,
  type Prefix,
} from "../../net/prefix.ts";
import { type Problem, type Report, sortProblems } from "./report.ts";

/** A host as the registry knows it, with its last report. */
export interface HostView {
  readonly name: string;
  readonly state: "ready" | "unreachable" | "no agent";
  /** Undefined if the registry has none. */
  readonly report: Report | undefined;
  /** What the registry finds wrong with its identity. Absent: nothing. */
  readonly identityProblem?: string;
  /** Whether the registry refuses it, and it owns nothing. Default false. */
  readonly isRefused?: boolean;
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
    const { name: node, state, report, identityProblem } = host;
    const identity = identityProblem === undefined ? [] : [{
      ...{ node, code: "identity", severity: "error" as const },
      ...{ text: identityProblem, fix: "stellar-net doctor" },
    }];
    if (host.isRefused) return identity;
    // The last report of a host that is silent describes the past.
    if (state === "unreachable") {
      return [...identity, {
        node,
        code: "unreachable",
        severity: "error" as const,
        text:
          `${node} sends no heartbeats; it keeps its subnets and its routes`,
        fix: `stellar-net doctor ${node}`,
      }];
    }
    const own = (report?.problems ?? []).map((problem) => ({
      node,
      ...problem,
    }));
    return [...identity, ...own];
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

/** The use of one network. */
export interface NetworkUse {
  readonly carve: Carve;
  readonly subnets: number;
  readonly owned: number;
  /** Subnets that cannot be handed out: reserved or in conflict. */
  readonly blocked: number;
  /** Addresses of the owned subnets for containers, as far as hosts report them. */
  readonly capacity: number;
  /** Those that are held. */
  readonly held: number;
  /** Growth in subnets a day; undefined for less than a day of samples. */
  readonly perDay: number | undefined;
  /** When no subnet will be left at that rate, in ms since 1970; undefined if it does not grow. */
  readonly fullAtMs: number | undefined;
  /** The host whose addresses there grow most; undefined where none grows. */
  readonly fastest:
    | { readonly node: string; readonly perDay: number }
    | undefined;
}

/** The cluster without its hosts. */
export interface ClusterSummary {
  readonly verdict: string;
  readonly problems: readonly HostProblem[];
  readonly networks: readonly NetworkUse[];
}

/** A subnet that is not plainly free, as the registry lists it. */
export interface ListedSubnet {
  readonly subnet: Prefix;
  readonly state: "owned" | "reserved" | "released" | "conflicting";
}

/** Sums up the cluster. */
export function summarize(
  hosts: readonly HostView[],
  { networks, subnets, forecast = () => undefined }: {
    readonly networks: readonly Carve[];
    readonly subnets: readonly ListedSubnet[];
    /** The trend of the subnets of a network that are taken. */
    readonly forecast?: (counted: {
      readonly subject: string;
      readonly count: number;
      readonly capacity: number;
    }) => Pick<NetworkUse, "perDay" | "fullAtMs"> | undefined;
  },
): ClusterSummary {
  const problems = collectProblems(hosts);
  const used = hosts.flatMap(({ name, report }) =>
    (report?.subnets ?? []).map((use) => ({
      ...{ ...use, node: name },
      subnet: parsePrefix(use.cidr),
    }))
  );
  return {
    verdict: describeVerdict(problems, hosts.length),
    problems,
    networks: networks.map((carve) => {
      const { network } = carve;
      const inside = subnets
        .filter(({ subnet }) => containsPrefix(network, subnet));
      const countOf = (state: ListedSubnet["state"]) =>
        inside.filter((listing) => listing.state === state).length;
      const here = used.filter(({ subnet }) => containsPrefix(network, subnet));
      const owned = countOf("owned");
      const blocked = inside.length - owned - countOf("released");
      const total = Number(sliceCount(carve));
      const { perDay, fullAtMs } = forecast({
        subject: formatPrefix(network),
        count: owned + blocked,
        capacity: total,
      }) ?? {};
      const [fastest] = here
        .flatMap(({ node, perDay = 0 }) => perDay > 0 ? [{ node, perDay }] : [])
        .sort((a, b) => b.perDay - a.perDay);
      return {
        carve,
        subnets: total,
        ...{ owned, blocked, perDay, fullAtMs, fastest },
        capacity: here.reduce((sum, { capacity }) => sum + capacity, 0),
        held: here.reduce((sum, { held }) => sum + held, 0),
      };
    }),
  };
}
