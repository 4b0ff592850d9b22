import {
  type Address,
  addressBits,
  type Family,
  parseAddress,
} from "../net/address.ts";
import { parsePrefix, type Prefix, prefixOf } from "../net/prefix.ts";
import type { KernelNextHop, KernelRoute } from "./kernel_route.ts";
import { parseProtocol } from "./protocol.ts";

/** A prefix that this host reaches by itself, and the interface that leads there. */
export interface HostPrefix {
  readonly prefix: Prefix;
  /** Name of the interface; for a route without one its type, such as `blackhole`. */
  readonly device: string;
}

/**
 * The prefixes of the interfaces in the output of `ip -json address show`
 * (ip-address(8)).
 *
 * @throws {SyntaxError} when it is not such output
 */
export function parseInterfacePrefixes(text: string): HostPrefix[] {
  return parseArray(text).flatMap((link) => {
    const { ifname, addr_info } = link as {
      ifname?: string;
      addr_info?: { local?: string; prefixlen?: number }[];
    };
    return (addr_info ?? []).flatMap(({ local, prefixlen }) =>
      local === undefined || prefixlen === undefined ? [] : [{
        prefix: prefixOf(parseAddress(local), prefixlen),
        device: ifname ?? "",
      }]
    );
  });
}

/**
 * The destinations in the output of `ip -json route show` (ip-route(8)),
 * without default routes and without those of one routing protocol.
 *
 * @throws {SyntaxError} when it is not such output
 */
export function parseRoutePrefixes(
  text: string,
  ownProtocol: number,
): HostPrefix[] {
  return parseRouteArray(text).flatMap((route) => {
    const { dst, dev, type, protocol } = route;
    if (dst === undefined || dst === "default") return [];
    const prefix = parseDestination(dst, undefined);
    return prefix === undefined || parseProtocol(protocol) === ownProtocol
      ? []
      : [{ prefix, device: dev ?? type ?? "" }];
  });
}

/**
 * The routes of the main table in the output of `ip -json route show table all`
 * (ip-route(8)), with or without `-N`.
 *
 * @throws {SyntaxError} when it is not such output
 */
export function parseKernelRoutes(text: string): KernelRoute[] {
  const addresses = new AddressTexts();
  return parseRouteArray(text).flatMap((route) => {
    if (route.table !== undefined) return [];
    const destination = parseDestination(route.dst ?? "", familyOf(route));
    return destination === undefined ? [] : [{
      destination,
      type: parseType(route.type),
      protocol: parseProtocol(route.protocol),
      metric: route.metric ?? 0,
      tos: route.tos ?? "",
      nextHops: (route.nexthops ?? [route]).flatMap((way) =>
        parseNextHop(way, addresses)
      ),
      attributes: formatAttributes(route),
    }];
  });
}

const IPV4_DESTINATION = /^(\d+)\.(\d+)\.(\d+)\.(\d+)(?:\/(\d+))?$/;

/** The attributes of a next hop, or of a route that has one only. */
interface JsonNextHop {
  readonly gateway?: string;
  /** A gateway of the other family. */
  readonly via?: { readonly host?: string };
  readonly dev?: string;
  readonly flags?: readonly string[];
}

interface JsonRoute extends JsonNextHop {
  /** There when it is not the main one. */
  readonly table?: string | number;
  /** There in IPv6 alone (RFC 4191). */
  readonly pref?: string;
  readonly type?: string;
  readonly dst?: string;
  readonly protocol?: string | number;
  readonly metric?: number;
  readonly tos?: string;
  readonly prefsrc?: string;
  readonly nhid?: number;
  readonly encap?: string;
  readonly metrics?: readonly Readonly<Record<string, unknown>>[];
  readonly nexthops?: readonly JsonNextHop[];
}

/** Addresses by their text: thousands of routes share few next hops. */
class AddressTexts {
  readonly #known = new Map<string, Address>();

  parse(text: string): Address {
    let address = this.#known.get(text);
    if (!address) this.#known.set(text, address = parseAddress(text));
    return address;
  }
}

/** The types of routes by number, as `ip -N` prints them (rtnetlink(7)). */
const TYPES = ["unspec", "unicast", "local", "broadcast", "anycast"]
  .concat("multicast", "blackhole", "unreachable", "prohibit", "throw");

/** `ip` leaves the ordinary type out. */
function parseType(type = "unicast"): string {
  return /^\d+$/.test(type) ? TYPES[Number(type)] ?? type : type;
}

function parseNextHop(
  way: JsonNextHop,
  addresses: AddressTexts,
): KernelNextHop[] {
  const text = way.gateway ?? way.via?.host;
  if (text === undefined && way.dev === undefined) return [];
  return [{
    gateway: text === undefined ? undefined : addresses.parse(text),
    device: way.dev ?? "",
    flags: way.flags ?? [],
  }];
}

/** A default route does not tell by its destination. */
function familyOf({ dst, pref }: JsonRoute): Family {
  return dst?.includes(":") || pref !== undefined ? 6 : 4;
}

/** What a route of ours never has. */
function formatAttributes(route: JsonRoute): string {
  const { prefsrc, nhid, encap, metrics } = route;
  if (!prefsrc && !nhid && !encap && !metrics) return "";
  const words = [
    ...prefsrc === undefined ? [] : ["src", prefsrc],
    ...nhid === undefined ? [] : ["nhid", nhid],
    ...encap === undefined ? [] : ["encap", encap],
    ...(metrics ?? []).flatMap((metric) => Object.entries(metric).flat()),
  ];
  return words.join(" ");
}

/**
 * `ip` leaves the length of a host route out. Undefined for what is no
 * destination of containers, such as the IPv4-mapped addresses.
 */
function parseDestination(
  text: string,
  family: Family | undefined,
): Prefix | undefined {
  if (text === "default" && family !== undefined) {
    return { family, value: 0n, length: 0 };
  }
  // There may be thousands, and the kernel's own need no strict parser.
  const match = family === 4 && IPV4_DESTINATION.exec(text);
  if (match) {
    let value = 0;
    for (let i = 1; i <= 4; i++) value = value * 256 + Number(match[i]);
    return { family: 4, value: BigInt(value), length: Number(match[5] ?? 32) };
  }
  try {
    if (text.includes("/")) return parsePrefix(text);
    const address: Address = parseAddress(text);
    return prefixOf(address, addressBits(address.family));
  } catch {
    return undefined;
  }
}

function parseRouteArray(text: string): readonly JsonRoute[] {
  return parseArray(text) as readonly JsonRoute[];
}

function parseArray(text: string): unknown[] {
  // `ip` prints nothing at all where there is nothing to show.
  const value: unknown = text.trim() === "" ? [] : JSON.parse(text);
  if (!Array.isArray(value)) throw new SyntaxError("ip printed no list");
  return value;
}
