import { type Address, formatAddress } from "../../net/address.ts";
import type { Prefix } from "../../net/prefix.ts";
import {
  defaultMetric,
  formatKernelRoute,
  isSameAddress,
  type KernelRoute,
  type KernelState,
} from "./kernel_route.ts";
import {
  type DesiredRoute,
  formatDesiredRoute,
  RouteGuard,
  type RoutePolicy,
} from "./desired_route.ts";
import { NextHopLookup, type NextHopState } from "./next_hop.ts";

/** The metric of `unreachable` routes: every other route to the same prefix goes before. */
const UNREACHABLE_METRIC = 4_000_000;

/** A route as the agent installs it: one next hop or none, a fixed metric, no further attributes. */
export interface OwnRoute {
  readonly destination: Prefix;
  /** Undefined for an `unreachable` route, which answers packets with an ICMP error. */
  readonly via:
    | { readonly gateway: Address; readonly device: string }
    | undefined;
  /** The protocol number of the agent's own routes. */
  readonly protocol: number;
}

/** Why a route of the agent's own is removed. */
export type RemovalCause =
  /** The destination is not desired. */
  | "not wanted"
  /** Another route of ours is right. */
  | "duplicate"
  /** A route of others has this destination. */
  | "gives way"
  /** Its next hop cannot be used. */
  | "no next hop"
  /** This host refuses it. */
  | "refused";

/**
 * A change of the kernel's routes. None can hit a route of others, even one
 * that was added since the kernel was read.
 */
export type RouteOperation =
  | { readonly kind: "add"; readonly route: OwnRoute }
  /** Replaces other routes of ours, without a gap. */
  | {
    readonly kind: "replace";
    readonly route: OwnRoute;
    /** Our routes in its place: those with the default metric. */
    readonly previous: readonly KernelRoute[];
    /** A metric that no other route to the destination has. */
    readonly spareMetric: number;
  }
  | {
    readonly kind: "delete";
    readonly route: KernelRoute;
    readonly cause: RemovalCause;
  };

/** The state of a desired route. */
export type RouteState =
  | {
    readonly kind: "installed";
    readonly device: string;
    /** Whether the interface has a carrier. */
    readonly hasCarrier: boolean;
  }
  /** To be installed, or to get another next hop. */
  | { readonly kind: "pending" }
  /** A route of others has the same destination: ours is not installed. */
  | { readonly kind: "conflict"; readonly foreign: KernelRoute }
  | Exclude<NextHopState, { kind: "on link" }>
  /** This host never installs this route, whichever host sent it. */
  | { readonly kind: "refused"; readonly why: string }
  /** An earlier desired route has the same destination. */
  | { readonly kind: "duplicate"; readonly of: DesiredRoute }
  /** It could not be installed: the error of `ip`. */
  | { readonly kind: "failed"; readonly error: string }
  /** The kernel was not read: why not. */
  | { readonly kind: "unknown"; readonly why: string };

/** A desired route and its state. */
export interface RouteStatus {
  readonly route: DesiredRoute;
  readonly state: RouteState;
  /** All routes of the kernel to this destination, also those of others. */
  readonly actual: readonly KernelRoute[];
}

export interface PlanRoutesOptions {
  /** The protocol number of our own routes. */
  readonly protocol: number;
  /** Undefined: every desired route is trusted. */
  readonly policy?: RoutePolicy | undefined;
  /** Prefixes in which addresses without a route are unreachable. */
  readonly unreachable?: readonly Prefix[];
}

/** The operations to do, and the state of each desired route in their order. */
export interface RoutePlan {
  /** Additions and replacements, then deletions. Empty: nothing to do. */
  readonly operations: readonly RouteOperation[];
  readonly routes: readonly RouteStatus[];
}

/**
 * Plans the changes that make the kernel's routes of our protocol the desired
 * ones.
 *
 * A destination has one owner: if a route of another protocol has exactly the
 * same destination, with any metric, it stays and ours is removed. Routes for
 * one type of service do not count: other packets still need ours.
 *
 * `unreachable` routes have the lowest preference and stand beside the routes of
 * others.
 */
export function planRoutes(
  desired: readonly DesiredRoute[],
  kernel: KernelState,
  options: PlanRoutesOptions,
): RoutePlan {
  const { protocol, policy, unreachable = [] } = options;
  const nextHops = new NextHopLookup(kernel, protocol);
  const guard = policy && new RouteGuard(policy, desired, kernel);
  const actual = new PrefixMap<KernelRoute[]>();
  for (const route of kernel.routes) {
    const others = actual.get(route.destination);
    if (others) others.push(route);
    else actual.set(route.destination, [route]);
  }
  const first = new PrefixMap<DesiredRoute>();
  const changes: RouteOperation[] = [];
  const deletions: RouteOperation[] = [];
  const routes = desired.map((route): RouteStatus => {
    const here = actual.get(route.destination) ?? [];
    const earlier = first.get(route.destination);
    if (earlier) {
      return { route, actual: here, state: { kind: "duplicate", of: earlier } };
    }
    first.set(route.destination, route);
    const { state, operations } = planDestination(route, here, {
      protocol,
      nextHop: nextHops.find(route.nextHop),
      refusal: guard?.refusal(route),
    });
    for (const operation of operations) {
      (operation.kind === "delete" ? deletions : changes).push(operation);
    }
    return { route, actual: here, state };
  });
  const barriers = new PrefixMap<Prefix>();
  for (const destination of unreachable) {
    if (first.get(destination) || barriers.get(destination)) continue;
    barriers.set(destination, destination);
    const here = actual.get(destination) ?? [];
    const wanted: OwnRoute = { destination, via: undefined, protocol };
    for (const operation of planOwn(wanted, here).operations) {
      (operation.kind === "delete" ? deletions : changes).push(operation);
    }
  }
  for (const route of kernel.routes) {
    const { destination } = route;
    if (
      route.protocol === protocol && !first.get(destination) &&
      !barriers.get(destination)
    ) deletions.push({ kind: "delete", route, cause: "not wanted" });
  }
  return { operations: [...changes, ...deletions], routes };
}

interface DestinationPlan {
  readonly state: RouteState;
  readonly operations: readonly RouteOperation[];
}

function planDestination(
  { destination, nextHop: gateway }: DesiredRoute,
  here: readonly KernelRoute[],
  { protocol, nextHop, refusal }: {
    readonly protocol: number;
    readonly nextHop: NextHopState;
    readonly refusal: string | undefined;
  },
): DestinationPlan {
  const own = here.filter((route) => route.protocol === protocol);
  const foreign = here.find((route) =>
    route.protocol !== protocol && route.tos === ""
  );
  // A destination behind this host itself is not a conflict.
  if (foreign && nextHop.kind !== "local") {
    return {
      state: { kind: "conflict", foreign },
      operations: own.map(deletion("gives way")),
    };
  }
  if (refusal !== undefined && nextHop.kind !== "local") {
    return {
      state: { kind: "refused", why: refusal },
      operations: own.map(deletion("refused")),
    };
  }
  if (nextHop.kind !== "on link") {
    return { state: nextHop, operations: own.map(deletion("no next hop")) };
  }
  const { device, hasCarrier } = nextHop;
  const via = { gateway, device };
  const plan = planOwn({ destination, via, protocol }, here);
  return {
    state: plan.isInstalled
      ? { kind: "installed", device, hasCarrier }
      : { kind: "pending" },
    operations: plan.operations,
  };
}

/** @param here all routes to the destination */
function planOwn(
  wanted: OwnRoute,
  here: readonly KernelRoute[],
): {
  readonly isInstalled: boolean;
  readonly operations: readonly RouteOperation[];
} {
  const own = here.filter(({ protocol }) => protocol === wanted.protocol);
  const kept = own.find((route) => isInstalled(wanted, route));
  if (kept) {
    return {
      isInstalled: true,
      operations: own.filter((route) => route !== kept)
        .map(deletion("duplicate")),
    };
  }
  const previous = own.filter((route) => hasPlaceOf(wanted, route));
  const rest = own.filter((route) => !hasPlaceOf(wanted, route));
  return {
    isInstalled: false,
    operations: [
      previous.length === 0 ? { kind: "add", route: wanted } : {
        kind: "replace",
        route: wanted,
        previous,
        spareMetric: spare(here, metricOf(wanted)),
      },
      ...rest.map(deletion("duplicate")),
    ],
  };
}

function deletion(
  cause: RemovalCause,
): (route: KernelRoute) => RouteOperation {
  return (route) => ({ kind: "delete", route, cause });
}

/** Whether a route is exactly as the agent installs it. */
function isInstalled(wanted: OwnRoute, route: KernelRoute): boolean {
  if (!hasPlaceOf(wanted, route) || route.attributes !== "") return false;
  const { via } = wanted;
  if (!via) return route.type === "unreachable";
  const [nextHop, ...more] = route.nextHops;
  return route.type === "unicast" && more.length === 0 &&
    nextHop !== undefined && nextHop.device === via.device &&
    isSameAddress(nextHop.gateway, via.gateway) &&
    !nextHop.flags.includes("onlink");
}

/** The metric with which the agent installs a route. */
export function metricOf({ destination, via }: OwnRoute): number {
  return via ? defaultMetric(destination.family) : UNREACHABLE_METRIC;
}

/** Whether the kernel refuses to add one beside the other. */
function hasPlaceOf(wanted: OwnRoute, route: KernelRoute): boolean {
  return route.metric === metricOf(wanted) && route.tos === "";
}

/** A metric above our own that no route to a destination has. */
function spare(here: readonly KernelRoute[], own: number): number {
  const taken = new Set(here.map(({ metric }) => metric));
  let metric = own + 1;
  while (taken.has(metric)) metric++;
  return metric;
}

class PrefixMap<T> {
  readonly #values = new Map<number | bigint, T>();

  get(prefix: Prefix): T | undefined {
    return this.#values.get(keyOf(prefix));
  }

  set(prefix: Prefix, item: T): void {
    this.#values.set(keyOf(prefix), item);
  }
}

/** A number for IPv4, which is faster, and a bigint for IPv6: never equal. */
function keyOf({ family, value, length }: Prefix): number | bigint {
  return family === 4
    ? Number(value) * 64 + length
    : value * 256n + BigInt(length);
}

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
