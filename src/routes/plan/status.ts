import { formatAddress } from "../../net/address.ts";
import type { RouteStatus } from "./route_plan.ts";
import { formatDesiredRoute } from "./desired_route.ts";
import { formatKernelRoute } from "./kernel_route.ts";

/** Numbers of desired routes by state. */
export interface RouteCounts {
  /** All that this host needs: see {@linkcode isNeeded}. */
  readonly wanted: number;
  readonly installed: number;
  /** Those in conflict with a route of others. */
  readonly conflicts: number;
  /** The others: not installed for another reason, or not yet. */
  readonly unresolved: number;
}

/**
 * Whether a host needs a route in its kernel at all. An extra route does not
 * need one on the host that is its target, nor where an earlier route has its
 * destination. For a node's subnet both are faults.
 */
export function isNeeded({ route, state }: RouteStatus): boolean {
  return route.origin.kind === "node" ||
    state.kind !== "local" && state.kind !== "duplicate";
}

/** Counts the desired routes that a host needs. */
export function countRoutes(routes: readonly RouteStatus[]): RouteCounts {
  const needed = routes.filter(isNeeded);
  let installed = 0;
  let conflicts = 0;
  for (const { state } of needed) {
    if (state.kind === "installed") installed++;
    if (state.kind === "conflict") conflicts++;
  }
  const wanted = needed.length;
  return {
    wanted,
    installed,
    conflicts,
    unresolved: wanted - installed - conflicts,
  };
}

/** Explains the state of a desired route in a sentence for people. */
export function explainRoute({ route, state, actual }: RouteStatus): string {
  switch (state.kind) {
    case "installed":
      return state.hasCarrier
        ? "it is in the kernel"
        : `it is in the kernel, but ${state.device} has no carrier`;
    case "pending":
      return actual.length === 0
        ? "it is not in the kernel yet"
        : `the kernel has ${actual.map(formatKernelRoute).join(", ")}`;
    case "conflict":
      return `another route is there and stays: ${
        formatKernelRoute(state.foreign)
      }; ours comes when it is removed`;
    case "local":
      return `${
        formatAddress(route.nextHop)
      } is this host itself, on ${state.device}: it needs no route`;
    case "link down":
      return `${
        formatAddress(route.nextHop)
      } is reached through ${state.device}, which is down`;
    case "off link":
      return state.why;
    case "refused":
      return `this host refuses it: ${state.why}`;
    case "duplicate":
      return `it leads where ${
        formatDesiredRoute(state.of)
      } does, which goes first`;
    case "failed":
      return state.error;
    case "unknown":
      return state.why;
  }
}
