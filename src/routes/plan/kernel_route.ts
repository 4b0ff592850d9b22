import {
  type Address,
  type Family,
  formatAddress,
  quote,
} from "../../net/address.ts";
import {
  formatPrefix,
  type InterfaceAddress,
  type Prefix,
} from "../../net/prefix.ts";
import { NetError } from "../../base/error.ts";

/** A next hop of a route. */
export interface KernelNextHop {
  /** Undefined for a directly connected destination. */
  readonly gateway: Address | undefined;
  /** Name of the interface; empty for none. */
  readonly device: string;
  /** `onlink`, `linkdown` (no carrier), `dead` and others (ip-route(8)). */
  readonly flags: readonly string[];
}

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

/**
 * Numbers of routing protocols (ip-route(8), `rt_protos`). Each route has one,
 * from 0 to 255, which tells what created it. All but the kernel's own are
 * conventions.
 */
const NAMES: ReadonlyMap<number, string> = new Map([
  [1, "redirect"],
  [2, "kernel"],
  [3, "boot"],
  [4, "static"],
  [8, "gated"],
  [9, "ra"],
  [10, "mrt"],
  [11, "zebra"],
  [12, "bird"],
  [13, "dnrouted"],
  [14, "xorp"],
  [15, "ntk"],
  [16, "dhcp"],
  [18, "keepalived"],
  [42, "babel"],
  [186, "bgp"],
  [187, "isis"],
  [188, "ospf"],
  [189, "rip"],
  [192, "eigrp"],
]);

const NUMBERS: ReadonlyMap<string, number> = new Map(
  [...NAMES].map(([number, name]) => [name, number]),
);

/** The protocol of a route for which `ip` shows none, such as after `ip route add`. */
export const PROTOCOL_BOOT = 3;

/** The last number that is not for routing daemons (ip-route(8)). */
const PROTOCOL_STATIC = 4;

/**
 * Reads a protocol as `ip -json` prints it: a number, or a name if `ip` knows
 * one. Undefined for a name that only this host's `rt_protos` has.
 */
export function parseProtocol(
  value: string | number | undefined,
): number | undefined {
  if (value === undefined) return PROTOCOL_BOOT;
  if (typeof value === "number") return value;
  return /^\d+$/.test(value) ? Number(value) : NUMBERS.get(value);
}

/** Formats a protocol for people: its name, or its number. */
function formatProtocol(protocol: number | undefined): string {
  return protocol === undefined
    ? "unknown"
    : NAMES.get(protocol) ?? String(protocol);
}

/**
 * Parses the protocol number of an agent's own routes.
 *
 * @throws {RangeError} for 0 to 4, which the kernel and `ip` use, and for the
 * number of another program
 */
export function parseRouteProtocol(text: string): number {
  const protocol = /^[1-9]\d{0,2}$/.test(text) ? Number(text) : NaN;
  if (!(protocol > PROTOCOL_STATIC && protocol <= 255)) {
    throw new RangeError(`${quote(text)} is not a whole number from 5 to 255`);
  }
  const user = NAMES.get(protocol);
  if (user === undefined) return protocol;
  throw new RangeError(
    `${quote(text)} marks the routes of ${user}: ` +
      "choose a number that nothing else on this host uses, such as 83",
  );
}

/** The locks of a network namespace, by name. */
export interface ProtocolLocks {
  /** Takes a lock for the life of the process. @returns whether it was free */
  readonly take: (name: string) => boolean;
  readonly isTaken: (name: string) => boolean;
}

/**
 * Takes a protocol number for the routes of this agent. Two agents with one
 * number would delete each other's routes for ever.
 *
 * @throws {NetError} `failed_precondition` when another agent has the number
 */
export function claimProtocol(protocol: number, locks: ProtocolLocks): void {
  if (locks.take(lockName(protocol))) return;
  const free = Array.from({ length: 255 }, (_, i) => (protocol + i) % 256)
    .find((number) =>
      number > PROTOCOL_STATIC && !NAMES.has(number) &&
      !locks.isTaken(lockName(number))
    );
  throw new NetError(
    "failed_precondition",
    `Cannot change routes: another agent in this network namespace marks its routes with protocol ${protocol}; ${
      free === undefined
        ? 'start this one with "--routes off"'
        : `start this one with "--route-protocol ${free}"`
    }`,
  );
}

function lockName(protocol: number): string {
  return `route-protocol-${protocol}`;
}
