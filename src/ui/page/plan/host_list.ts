import type { HostSummary } from "../../../gen/stellar/net/v1/cluster_pb.ts";
import {
  type Condition,
  CONDITIONS,
  type HostStatus,
  statusOf,
  usedShareOf,
} from "./host_status.ts";

/** The columns by which the list can be sorted. */
export const SORTS = ["name", "condition", "used", "problems"] as const;

export type Sort = typeof SORTS[number];

const COMPARE: Readonly<
  Record<Sort, (a: HostStatus, b: HostStatus) => number>
> = {
  name: (a, b) => a.name < b.name ? -1 : a.name > b.name ? 1 : 0,
  condition: (a, b) =>
    CONDITIONS.indexOf(a.condition) - CONDITIONS.indexOf(b.condition),
  // The fullest first; those without addresses last.
  used: (a, b) => (usedShareOf(b) ?? -1) - (usedShareOf(a) ?? -1),
  problems: (a, b) => b.problems - a.problems,
};

/** The hosts to list. Those that are equal stay in the order of their names. */
export function listHosts(
  hosts: Iterable<HostSummary>,
  { text, condition, sort }: {
    /** A part of the name, an address or a subnet; empty: all. */
    readonly text: string;
    /** Undefined: all. */
    readonly condition: Condition | undefined;
    readonly sort: Sort;
  },
): HostSummary[] {
  const wanted = text.trim().toLowerCase();
  return [...hosts].map((host) => ({ host, status: statusOf(host) }))
    .filter(({ host, status }) =>
      (condition === undefined || status.condition === condition) &&
      (wanted === "" ||
        textsOf(host).some((each) => each.toLowerCase().includes(wanted)))
    )
    .sort((a, b) =>
      COMPARE[sort](a.status, b.status) || COMPARE.name(a.status, b.status)
    ).map(({ host }) => host);
}

function textsOf({ node }: HostSummary): readonly string[] {
  return node ? [node.name, ...node.advertised, ...node.subnets] : [];
}
