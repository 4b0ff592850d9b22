import {
  type Address,
  addressBits,
  type Family,
  parseAddress,
} from "../../net/address.ts";
import { parsePrefix, type Prefix, prefixOf } from "../../net/prefix.ts";
import type { KernelNextHop, KernelRoute } from "./kernel_route.ts";
import { parseProtocol } from "./protocol.ts";
import { isObject } from "../../base/json_reader.ts";
import {
  type Checked,
  isNumber,
  isText,
  isTextOrNumber,
  listOf,
  objectOf,
  readRows,
  readStrictly,
} from "./tool_json.ts";

/**
 * The routes of the main table in the output of `ip -json route show table all`
 * (ip-route(8)), with or without `-N`.
 *
 * @throws {SyntaxError} when it is not such output
 */
export function parseKernelRoutes(text: string): KernelRoute[] {
  const addresses = new AddressTexts();
  const parse = (route: JsonRoute) => {
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
  };
  return readStrictly("ip", () => readRoutes(text).flatMap(parse));
}

const IPV4_DESTINATION = /^(\d+)\.(\d+)\.(\d+)\.(\d+)(?:\/(\d+))?$/;

/** The attributes of a next hop, or of a route that has only one. */
const NEXT_HOP = {
  gateway: isText,
  /** A gateway of the other family. */
  via: objectOf({ host: isText }),
  dev: isText,
  flags: listOf(isText),
};

const ROUTE = objectOf({
  ...NEXT_HOP,
  /** Missing for the main table. */
  table: isTextOrNumber,
  /** In IPv6 only (RFC 4191). */
  pref: isText,
  ...{ type: isText, dst: isText },
  ...{ protocol: isTextOrNumber, metric: isNumber, tos: isText },
  ...{ prefsrc: isText, nhid: isNumber, encap: isText },
  metrics: listOf(isObject),
  nexthops: listOf(objectOf(NEXT_HOP)),
});

type JsonRoute = Checked<typeof ROUTE>;

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
  way: Pick<JsonRoute, keyof typeof NEXT_HOP>,
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
    const length = Number(match[5] ?? 32);
    return value < 2 ** 32 && length <= 32
      ? { family: 4, value: BigInt(value), length }
      : undefined;
  }
  try {
    if (text.includes("/")) return parsePrefix(text);
    const address: Address = parseAddress(text);
    return prefixOf(address, addressBits(address.family));
  } catch {
    return undefined;
  }
}

function readRoutes(text: string): readonly JsonRoute[] {
  return readRows(text, { program: "ip", check: ROUTE });
}
