import { formatAddress } from "../../net/address.ts";
import { formatDesiredRoute, type RouteStatus } from "./route_plan.ts";
import { formatKernelRoute } from "./kernel_route.ts";

/** Numbers of desired routes by state. */
export interface RouteCounts {
  readonly wanted: number;
  readonly installed: number;
  /** Those in conflict with a route of others. */
  readonly conflicts: number;
  /** The others: not installed for another reason, or not yet. */
  readonly unresolved: number;
}

export function countRoutes(routes: readonly RouteStatus[]): RouteCounts {
  let installed = 0;
  let conflicts = 0;
  for (const { state } of routes) {
    if (state.kind === "installed") installed++;
    if (state.kind === "conflict") conflicts++;
  }
  const wanted = routes.length;
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
