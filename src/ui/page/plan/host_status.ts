import { formatShare } from "../../../base/share.ts";
import {
  type HostSummary,
  type Problem,
  Severity,
} from "../../../gen/stellar/net/v1/cluster_pb.ts";
import { NodeState } from "../../../gen/stellar/net/v1/registry_pb.ts";

/** The condition of a host, the worst first. */
export const CONDITIONS = [
  "silent",
  "error",
  "warning",
  "unknown",
  "no-agent",
  "well",
] as const;

export type Condition = typeof CONDITIONS[number];

/** Conditions in words, with the sign that stands for each beside its colour. */
export const CONDITION_LOOKS: Readonly<
  Record<Condition, { readonly label: string; readonly sign: string }>
> = {
  silent: { label: "unreachable", sign: "\u2298" },
  error: { label: "error", sign: "\u2715" },
  warning: { label: "warning", sign: "!" },
  unknown: { label: "no report", sign: "?" },
  "no-agent": { label: "no agent", sign: "\u2013" },
  well: { label: "no problem", sign: "\u2713" },
};

/** A host in short. */
export interface HostStatus {
  readonly name: string;
  readonly condition: Condition;
  /** Addresses for containers in all its subnets. */
  readonly capacity: number;
  readonly held: number;
  readonly cooling: number;
  readonly problems: number;
}

const known = new WeakMap<HostSummary, HostStatus>();

/** Sums a host up: to the same object as long as it is the same message. */
export function statusOf(host: HostSummary): HostStatus {
  let status = known.get(host);
  if (!status) known.set(host, status = sumUp(host));
  return status;
}

function sumUp({ node, report }: HostSummary): HostStatus {
  const subnets = report?.subnets ?? [];
  const problems = report?.problems ?? [];
  return {
    name: node?.name ?? "",
    condition: conditionOf(node?.state, report && problems, node?.problem),
    capacity: subnets.reduce((sum, { capacity }) => sum + capacity, 0),
    held: subnets.reduce((sum, { held }) => sum + Number(held), 0),
    cooling: subnets.reduce((sum, { cooling }) => sum + Number(cooling), 0),
    problems: problems.length,
  };
}

/**
 * The condition of a host. The last report of one that is silent describes the
 * past; one that has never reported may have any problem.
 */
function conditionOf(
  state: NodeState | undefined,
  problems: readonly Problem[] | undefined,
  identityProblem = "",
): Condition {
  if (state === NodeState.UNREACHABLE) return "silent";
  if (identityProblem !== "") return "error";
  if (state === NodeState.NO_AGENT) return "no-agent";
  if (!problems) return "unknown";
  if (problems.some(({ severity }) => severity === Severity.ERROR)) {
    return "error";
  }
  return problems.length > 0 ? "warning" : "well";
}

/** Steps of use, in percent of a host's addresses: where each begins. */
export const USE_STEPS = [0, 25, 50, 75, 90] as const;

/** The step of use of a host, 0 to 4; undefined: its addresses are not known. */
export function useStep(status: HostStatus): number | undefined {
  const share = usedShareOf(status);
  return share === undefined
    ? undefined
    : USE_STEPS.findLastIndex((from) => 100 * share >= from);
}

/** From which share of its addresses on a host is nearly full. */
export const FULL_SHARE = 0.9;

/** The share of a host's addresses that it cannot give out now, 0 to 1; undefined: not known. */
export function usedShareOf(
  { held, cooling, capacity }: HostStatus,
): number | undefined {
  return capacity > 0 ? Math.min(1, (held + cooling) / capacity) : undefined;
}

/** Whether a host has few addresses left. */
export function isNearlyFull(status: HostStatus): boolean {
  return (usedShareOf(status) ?? 0) >= FULL_SHARE;
}

/** The share of a host's addresses that are held; empty: not known. */
export function shareText({ held, capacity }: HostStatus): string {
  return formatShare(held, capacity);
}

/** A host in one sentence: "web-1: warning, 1 problem, 12% of its addresses held". */
export function describeHost(status: HostStatus): string {
  const share = shareText(status);
  return `${status.name}: ${describeCondition(status)}${
    share === "" ? "" : `, ${share} of its addresses held`
  }`;
}

/** The condition in words: "warning, 1 problem". */
export function describeCondition({ condition, problems }: HostStatus): string {
  const { label } = CONDITION_LOOKS[condition];
  return problems === 0
    ? label
    : `${label}, ${problems} problem${problems === 1 ? "" : "s"}`;
}
