import { type Address, type Family, formatAddress } from "../../net/address.ts";
import {
  formatPrefix,
  type InterfaceAddress,
  type Prefix,
} from "../../net/prefix.ts";
import { formatProtocol, PROTOCOL_BOOT } from "./protocol.ts";

/** One way that a route leads out of this host. */
export interface KernelNextHop {
  /** Undefined for a destination that is directly connected. */
  readonly gateway: Address | undefined;
  /** Name of the interface; empty where the kernel names none. */
  readonly device: string;
  /** `onlink`, `linkdown` (no carrier), `dead` and others (ip-route(8)). */
  readonly flags: readonly string[];
}

/** A route as the kernel has it. */
export interface KernelRoute {
  readonly destination: Prefix;
  /** `unicast`, or what becomes of packets instead, such as `blackhole`. */
  readonly type: string;
  /** Who made it; undefined when that is not known. */
  readonly protocol: number | undefined;
  /** The smaller one is used. For IPv4 0 when none was given, for IPv6 1024. */
  readonly metric: number;
  /** Type of service that it is for, such as `0x10`; empty for all packets. */
  readonly tos: string;
  /** One, several for multipath, none for a type that leads nowhere. */
  readonly nextHops: readonly KernelNextHop[];
  /** Further attributes as `ip` takes them, such as `src 192.0.2.1`; empty for none. */
  readonly attributes: string;
}

/** An interface, as far as routes are concerned. */
export interface KernelLink {
  readonly name: string;
  /** Whether it is switched on; a carrier is another matter. */
  readonly isUp: boolean;
  readonly addresses: readonly InterfaceAddress[];
}

/** What the kernel has that bears on routes. */
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

/** Whether two addresses are the same. */
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
