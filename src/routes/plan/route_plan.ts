import { type Address, formatAddress } from "../../net/address.ts";
import { formatPrefix, type Prefix } from "../../net/prefix.ts";
import {
  defaultMetric,
  isSameAddress,
  type KernelRoute,
  type KernelState,
} from "./kernel_route.ts";
import { NextHopLookup, type NextHopState } from "./next_hop.ts";

/** A route as the agent installs it: one next hop, the default metric, no further attributes. */
export interface OwnRoute {
  readonly destination: Prefix;
  readonly gateway: Address;
  readonly device: string;
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
  | "no next hop";

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
 * @param protocol the protocol number of our own routes
 */
export function planRoutes(
  desired: readonly DesiredRoute[],
  kernel: KernelState,
  { protocol }: { readonly protocol: number },
): RoutePlan {
  const nextHops = new NextHopLookup(kernel, protocol);
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
    });
    for (const operation of operations) {
      (operation.kind === "delete" ? deletions : changes).push(operation);
    }
    return { route, actual: here, state };
  });
  for (const route of kernel.routes) {
    if (route.protocol === protocol && !first.get(route.destination)) {
      deletions.push({ kind: "delete", route, cause: "not wanted" });
    }
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
  { protocol, nextHop }: {
    readonly protocol: number;
    readonly nextHop: NextHopState;
  },
): DestinationPlan {
  const own = here.filter((route) => route.protocol === protocol);
  const foreign = here.find((route) =>
    route.protocol !== protocol && route.tos === ""
  );
  // A destination behind this host itself is no conflict.
  if (foreign && nextHop.kind !== "local") {
    return {
      state: { kind: "conflict", foreign },
      operations: own.map(deletion("gives way")),
    };
  }
  if (nextHop.kind !== "on link") {
    return { state: nextHop, operations: own.map(deletion("no next hop")) };
  }
  const { device, hasCarrier } = nextHop;
  const wanted: OwnRoute = { destination, gateway, device, protocol };
  const kept = own.find((route) => isInstalled(wanted, route));
  if (kept) {
    return {
      state: { kind: "installed", device, hasCarrier },
      operations: own.length === 1
        ? []
        : own.filter((route) => route !== kept).map(deletion("duplicate")),
    };
  }
  const previous = own.filter((route) => hasPlaceOf(wanted, route));
  const rest = own.filter((route) => !hasPlaceOf(wanted, route));
  return {
    state: { kind: "pending" },
    operations: [
      previous.length === 0 ? { kind: "add", route: wanted } : {
        kind: "replace",
        route: wanted,
        previous,
        spareMetric: spare(here),
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
  const [way, ...more] = route.nextHops;
  return hasPlaceOf(wanted, route) && route.type === "unicast" &&
    route.attributes === "" && more.length === 0 && way !== undefined &&
    way.device === wanted.device &&
    isSameAddress(way.gateway, wanted.gateway) &&
    !way.flags.includes("onlink");
}

/** Whether the kernel refuses to add one beside the other. */
function hasPlaceOf(wanted: OwnRoute, route: KernelRoute): boolean {
  return route.metric === defaultMetric(wanted.destination.family) &&
    route.tos === "";
}

/** A metric above the default that no route to a destination has. */
function spare(here: readonly KernelRoute[]): number {
  const taken = new Set(here.map(({ metric }) => metric));
  let metric = defaultMetric(here[0]!.destination.family) + 1;
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

/** The origin of a desired route: another node's subnet, or an operator. */
export type RouteOrigin =
  | { readonly kind: "node"; readonly node: string }
  | { readonly kind: "extra" };

/** A route that this host should have. */
export interface DesiredRoute {
  readonly destination: Prefix;
  /** Of the family of the destination. */
  readonly nextHop: Address;
  readonly origin: RouteOrigin;
}

/** Names a desired route for people, such as `172.16.4.0/22 via 192.0.2.2 (node "b")`. */
export function formatDesiredRoute(route: DesiredRoute): string {
  const { destination, nextHop, origin } = route;
  return `${formatPrefix(destination)} via ${formatAddress(nextHop)} (${
    origin.kind === "node" ? `node "${origin.node}"` : "extra route"
  })`;
}
