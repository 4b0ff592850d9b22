import { type Address, type Family, formatAddress } from "../../net/address.ts";
import {
  formatPrefix,
  type InterfaceAddress,
  type Prefix,
} from "../../net/prefix.ts";
import { formatProtocol, PROTOCOL_BOOT } from "./protocol.ts";

/** A next hop of a route. */
export interface KernelNextHop {
  /** Undefined for a directly connected destination. */
  readonly gateway: Address | undefined;
  /** Name of the interface; empty for none. */
  readonly device: string;
  /** `onlink`, `linkdown` (no carrier), `dead` and others (ip-route(8)). */
  readonly flags: readonly string[];
}

/** A route as the kernel has it. */
export interface KernelRoute {
  readonly destination: Prefix;
  /** `unicast`, or another type such as `blackhole` (ip-route(8)). */
  readonly type: string;
  /** The protocol number; undefined for a name that is not known. */
  readonly protocol: number | undefined;
  /** The kernel prefers the smallest. The default is 0 for IPv4 and 1024 for IPv6. */
  readonly metric: number;
  /** The type of service that the route is for, such as `0x10`; empty for all packets. */
  readonly tos: string;
  /** One, several for multipath, none for a type such as `blackhole`. */
  readonly nextHops: readonly KernelNextHop[];
  /** Further attributes as `ip` takes them, such as `src 192.0.2.1`; empty for none. */
  readonly attributes: string;
}

/** An interface, as far as routes are concerned. */
export interface KernelLink {
  readonly name: string;
  /** Whether it is set up; it may still have no carrier. */
  readonly isUp: boolean;
  readonly addresses: readonly InterfaceAddress[];
}

/** The kernel's routes, and the interfaces that they depend on. */
export interface KernelState {
  /** The routes of the main table, in the kernel's order. */
  readonly routes: readonly KernelRoute[];
  readonly links: readonly KernelLink[];
}

/** A prefix that this host uses itself, and the interface that leads there. */
export interface HostPrefix {
  readonly prefix: Prefix;
  /** Name of the interface; for a route without one its type, such as `blackhole`. */
  readonly device: string;
}

/** The prefixes of interfaces and routes, without default routes and routes of our own protocol. */
export function hostPrefixes(
  { links, routes }: KernelState,
  protocol: number,
): HostPrefix[] {
  return [
    ...links.flatMap(({ name, addresses }) =>
      addresses.map(({ prefix }) => ({ prefix, device: name }))
    ),
    ...routes.filter((route) =>
      route.destination.length > 0 && route.protocol !== protocol
    ).map(({ destination, nextHops, type }) => ({
      prefix: destination,
      device: nextHops[0]?.device || type,
    })),
  ];
}

/** The metric of a route that was added without one. */
export function defaultMetric(family: Family): number {
  return family === 4 ? 0 : 1024;
}

/** Formats a route as `ip route show` does. */
export function formatKernelRoute(route: KernelRoute): string {
  const { type, metric, nextHops, destination } = route;
  const isSingle = nextHops.length < 2;
  return [
    type === "unicast" ? "" : type,
    formatPrefix(destination),
    route.tos && `tos ${route.tos}`,
    isSingle ? nextHops.map(formatNextHop).join("") : "",
    route.protocol === PROTOCOL_BOOT
      ? ""
      : `proto ${formatProtocol(route.protocol)}`,
    metric === defaultMetric(destination.family) ? "" : `metric ${metric}`,
    route.attributes,
    isSingle
      ? ""
      : nextHops.map((n) => `nexthop ${formatNextHop(n)}`).join(" "),
  ].filter((word) => word !== "").join(" ");
}

export function isSameAddress(
  a: Address | undefined,
  b: Address | undefined,
): boolean {
  return a?.family === b?.family && a?.value === b?.value;
}

function formatNextHop({ gateway, device, flags }: KernelNextHop): string {
  return [
    ...gateway ? ["via", formatAddress(gateway)] : [],
    ...device === "" ? [] : ["dev", device],
    ...flags,
  ].join(" ");
}
