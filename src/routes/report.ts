import type { RouteMode } from "../config/config.ts";
import { formatAddress } from "../net/address.ts";
import { formatPrefix, type Prefix } from "../net/prefix.ts";
import type { OperationOutcome } from "./kernel_routes.ts";
import {
  countRoutes,
  type RouteCounts,
  type RouteOperation,
  type RoutePlan,
  type RouteState,
  type RouteStatus,
} from "./plan/route_plan.ts";
import type { DesiredRoute } from "./plan/desired_route.ts";
import { describeOperation } from "./plan/ip_batch.ts";

/** Why a route that had been right needed a repair. */
export type RepairCause =
  /** A route of ours had disappeared. */
  | "missing"
  /** It had another next hop. */
  | "changed"
  /** There was an undesired or duplicate route of our protocol. */
  | "surplus"
  /** Its next hop can be reached again. */
  | "next hop back"
  /** The conflicting route has disappeared. */
  | "conflict gone";

/** Repairs since the agent's start. */
export interface Repairs {
  readonly count: number;
  readonly byCause: Readonly<Partial<Record<RepairCause, number>>>;
  /** When the last one was, in ms since 1970; undefined before the first. */
  readonly lastAtMs: number | undefined;
}

/** The state of this host's routes. */
export interface RouteReport {
  readonly mode: RouteMode;
  /** When the kernel was last read, in ms since 1970; undefined before the first time. */
  readonly readAtMs: number | undefined;
  /** The desired routes in their order. */
  readonly routes: readonly RouteStatus[];
  readonly counts: RouteCounts;
  /** The remaining operations: all in mode `plan`, those that failed in mode `apply`. */
  readonly operations: readonly RouteOperation[];
  readonly repaired: Repairs;
  /** Why routes could not be read or changed, for people; undefined for no error. */
  readonly error: string | undefined;
}

export function createReport(
  report: Omit<RouteReport, "counts">,
): RouteReport {
  return { ...report, counts: countRoutes(report.routes) };
}

/** The statuses of desired routes whose state is unknown. */
export function unknownRoutes(
  desired: readonly DesiredRoute[],
  why: string,
): RouteStatus[] {
  const state: RouteState = { kind: "unknown", why };
  return desired.map((route) => ({ route, state, actual: [] }));
}

/** The routes of a plan that was made after operations, with the errors of the failed ones. */
export function markFailures(
  after: RoutePlan,
  outcomes: readonly OperationOutcome[],
): RouteStatus[] {
  const errors = new Map<Prefix, string>();
  for (const { operation, error } of outcomes) {
    if (error !== undefined) {
      errors.set(operation.route.destination, describe(operation, error));
    }
  }
  return after.routes.map((status) => {
    const error = errors.get(status.route.destination);
    return status.state.kind === "pending" && error !== undefined
      ? { ...status, state: { kind: "failed", error } }
      : status;
  });
}

/** Describes the failures that still matter; undefined for none. */
export function describeFailures(
  after: RoutePlan,
  outcomes: readonly OperationOutcome[],
): string | undefined {
  const open = new Set(after.operations.map(identify));
  const failed = outcomes.filter(({ operation, error }) =>
    error !== undefined && open.has(identify(operation))
  );
  const [first] = failed;
  if (first?.error === undefined) return undefined;
  const more = failed.length - 1;
  return describe(first.operation, first.error) +
    (more > 0 ? `; ${more} more failed` : "") +
    (first.error.includes("Operation not permitted")
      ? '; run the agent with CAP_NET_ADMIN, or with "--routes plan" or "--routes off"'
      : "");
}

/**
 * The operations that were repairs: not for a new wish, but because the kernel
 * was no longer as the agent had left it.
 */
export function findRepairs(
  before: readonly RouteStatus[],
  outcomes: readonly OperationOutcome[],
): RepairCause[] {
  // Of several with one destination the first counts.
  const known = new Map(
    before.map((status) =>
      [formatPrefix(status.route.destination), status] as const
    ).reverse(),
  );
  return outcomes.flatMap(({ operation, error }) => {
    const status = known.get(formatPrefix(operation.route.destination));
    return error === undefined ? repairCause(operation, status) ?? [] : [];
  });
}

/** Adds repairs up. */
export function addRepairs(
  repairs: Repairs,
  causes: readonly RepairCause[],
  nowMs: number,
): Repairs {
  if (causes.length === 0) return repairs;
  const byCause = { ...repairs.byCause };
  for (const cause of causes) byCause[cause] = (byCause[cause] ?? 0) + 1;
  return { count: repairs.count + causes.length, byCause, lastAtMs: nowMs };
}

function repairCause(
  operation: RouteOperation,
  before: RouteStatus | undefined,
): RepairCause | undefined {
  if (operation.kind === "delete") {
    const { cause } = operation;
    const wasWanted = before !== undefined;
    return cause === "duplicate" && before?.state.kind === "installed" ||
        cause === "not wanted" && !wasWanted
      ? "surplus"
      : undefined;
  }
  const { via } = operation.route;
  if (
    !before || !via ||
    formatAddress(before.route.nextHop) !== formatAddress(via.gateway)
  ) return undefined;
  switch (before.state.kind) {
    case "installed":
      return operation.kind === "add" ? "missing" : "changed";
    case "link down":
    case "off link":
      return "next hop back";
    case "conflict":
      return "conflict gone";
    default:
      return undefined;
  }
}

function describe(operation: RouteOperation, error: string): string {
  return `Cannot ${describeOperation(operation)}: ${error}`;
}

function identify({ kind, route }: RouteOperation): string {
  return `${kind === "delete" ? "delete" : "have"} ${
    formatPrefix(route.destination)
  }`;
}
