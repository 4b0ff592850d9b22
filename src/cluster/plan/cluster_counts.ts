import { formatPrefix } from "../../net/prefix.ts";
import type { ClusterSummary, HostView, NetworkUse } from "./overview.ts";

/** Counts of all hosts, for the metrics of a registry. */
export interface ClusterCounts {
  readonly hosts: Readonly<Record<HostView["state"], number>>;
  /** Hosts with an agent that is alive, whose report is not known. */
  readonly withoutReport: number;
  /** Hosts with a problem, by its worst severity. */
  readonly troubled: Readonly<Record<"error" | "warning", number>>;
  /** Problems by severity. */
  readonly problems: Readonly<Record<"error" | "warning", number>>;
  /** The largest share of a host's subnet that is held, 0 to 1. */
  readonly worstUse: number;
  /** When the first subnet of a host will be full, in ms since 1970; undefined: none is known to. */
  readonly firstFullAtMs: number | undefined;
  readonly routes: Readonly<
    Record<"installed" | "conflict" | "unresolved", number>
  >;
  readonly networks: readonly (NetworkUse & { readonly cidr: string })[];
}

/** Counts what all hosts report: a bounded number of counts, however many hosts there are. */
export function countHosts(
  hosts: readonly HostView[],
  { problems, networks }: Pick<ClusterSummary, "problems" | "networks">,
): ClusterCounts {
  const states = { ready: 0, unreachable: 0, "no agent": 0 };
  for (const { state } of hosts) states[state]++;
  const alive = hosts.filter(({ state }) => state === "ready");
  const reports = alive.flatMap(({ report }) => report ?? []);
  const uses = reports.flatMap(({ subnets }) => subnets);
  const nodesOf = (severity: string) =>
    new Set(
      problems.filter((problem) => problem.severity === severity)
        .map(({ node }) => node),
    );
  const errors = nodesOf("error");
  const warnings = [...nodesOf("warning")].filter((node) => !errors.has(node));
  const ends = uses.flatMap(({ fullAtMs }) => fullAtMs ?? []);
  const sum = (of: "installed" | "conflicts" | "unresolved") =>
    reports.reduce((total, { routes }) => total + routes[of], 0);
  return {
    hosts: states,
    withoutReport: alive.length - reports.length,
    troubled: { error: errors.size, warning: warnings.length },
    problems: {
      error: problems.filter(({ severity }) => severity === "error").length,
      warning: problems.filter(({ severity }) => severity === "warning").length,
    },
    worstUse: uses.reduce(
      (worst, { held, capacity }) =>
        capacity > 0 ? Math.max(worst, held / capacity) : worst,
      0,
    ),
    firstFullAtMs: ends.length === 0 ? undefined : Math.min(...ends),
    routes: {
      installed: sum("installed"),
      conflict: sum("conflicts"),
      unresolved: sum("unresolved"),
    },
    networks: networks.map((use) => ({
      ...use,
      cidr: formatPrefix(use.carve.network),
    })),
  };
}
