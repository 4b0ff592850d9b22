import { type Carve, sliceCount } from "../../net/carve.ts";
import { containsPrefix, parsePrefix, type Prefix } from "../../net/prefix.ts";
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
  { networks, subnets }: {
    readonly networks: readonly Carve[];
    readonly subnets: readonly ListedSubnet[];
  },
): ClusterSummary {
  const problems = collectProblems(hosts);
  const used = hosts.flatMap(({ report }) => report?.subnets ?? [])
    .map((use) => ({ ...use, subnet: parsePrefix(use.cidr) }));
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
      return {
        carve,
        subnets: Number(sliceCount(carve)),
        owned,
        blocked: inside.length - owned - countOf("released"),
        capacity: here.reduce((sum, { capacity }) => sum + capacity, 0),
        held: here.reduce((sum, { held }) => sum + held, 0),
      };
    }),
  };
}
