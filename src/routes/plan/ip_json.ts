import {
  type Address,
  addressBits,
  type Family,
  parseAddress,
} from "../../net/address.ts";
import {
  type InterfaceAddress,
  parseInterfaceAddress,
  parsePrefix,
  type Prefix,
  prefixOf,
} from "../../net/prefix.ts";
import {
  type KernelNextHop,
  type KernelRoute,
  parseProtocol,
} from "./kernel_route.ts";
import { isObject } from "../../base/json_reader.ts";
import {
  type Checked,
  isFlag,
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

/** Formats the attributes that routes of ours never have. */
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

/** An address of an interface, with the attributes that decide whether it may be advertised. */
export interface LinkAddress extends InterfaceAddress {
  /** Reach of the address (ip-address(8)): `global`, `link`, `host` or `site`. */
  readonly scope: string;
  /**
   * Whether it may change or disappear by itself, or cannot be used yet:
   * temporary, deprecated or tentative (RFC 8981, RFC 4862).
   */
  readonly isTransient: boolean;
  /** Whether it is not the main address of its prefix. */
  readonly isSecondary?: boolean;
}

export interface HostLink {
  readonly name: string;
  /** Its index; missing where `ip` prints none. */
  readonly index?: number;
  /** The kind, such as `bridge` or `veth`; empty for hardware. */
  readonly kind: string;
  /** Whether it is set up; it may still have no carrier. */
  readonly isUp: boolean;
  readonly mtuBytes: number;
  /** Name of the bridge or other interface that it is a port of; undefined for none. */
  readonly master?: string;
  readonly addresses: readonly LinkAddress[];
}

/** A default route through one interface. */
export interface DefaultRoute {
  readonly family: Family;
  readonly device: string;
  /** Empty for a route without a next hop. */
  readonly gateway: string;
  /** The kernel prefers the smallest. */
  readonly metric: number;
}

/**
 * The interfaces in the output of `ip -json -details address show`
 * (ip-address(8)).
 *
 * @throws {SyntaxError} when it is not such output
 */
export function parseLinks(text: string): HostLink[] {
  const links = readRows(text, { program: "ip", check: LINK });
  return readStrictly("ip", () =>
    links.flatMap((link) =>
      // Some versions of `ip` print an empty object for each filtered-out item.
      link.ifname === undefined ? [] : [{
        name: link.ifname,
        ...link.ifindex !== undefined && { index: link.ifindex },
        kind: link.linkinfo?.info_kind ?? "",
        isUp: link.flags?.includes("UP") ?? false,
        mtuBytes: link.mtu ?? 0,
        ...link.master !== undefined && { master: link.master },
        addresses: (link.addr_info ?? []).flatMap(parseLinkAddress),
      }]
    ));
}

/**
 * The default routes in the output of `ip -json route show default` (IPv4, or
 * with `-6`), one for each next hop.
 *
 * @throws {SyntaxError} when it is not such output
 */
export function parseDefaultRoutes(
  text: string,
  family: Family,
): DefaultRoute[] {
  const routes = readRows(text, { program: "ip", check: DEFAULT_ROUTE });
  return routes.flatMap((route) => {
    if (route.dst !== "default") return [];
    return (route.nexthops ?? [route]).flatMap(({ dev, gateway }) =>
      dev === undefined ? [] : [{
        family,
        device: dev,
        gateway: gateway ?? "",
        metric: route.metric ?? 0,
      }]
    );
  });
}

/**
 * The lines of files by path, without surrounding space, in the output of
 * `grep -Hs "" PATH...`. A file that cannot be read is missing.
 */
export function parseFileLines(text: string): Map<string, string[]> {
  const lines = new Map<string, string[]>();
  for (const line of text.split("\n")) {
    const at = line.indexOf(":");
    if (at < 0) continue;
    const path = line.slice(0, at);
    const value = line.slice(at + 1).trim();
    const values = lines.get(path);
    if (values) values.push(value);
    else lines.set(path, [value]);
  }
  return lines;
}

/** The interfaces that hold an address. */
export function linksHolding(
  links: readonly HostLink[],
  address: Address,
): HostLink[] {
  return links.filter((link) =>
    link.addresses.some((held) =>
      held.address.family === address.family &&
      held.address.value === address.value
    )
  );
}

const ADDRESS = objectOf({
  ...{ local: isText, prefixlen: isNumber, scope: isText },
  ...{ temporary: isFlag, deprecated: isFlag },
  ...{ tentative: isFlag, secondary: isFlag },
});

const LINK = objectOf({
  ifname: isText,
  ifindex: isNumber,
  flags: listOf(isText),
  mtu: isNumber,
  master: isText,
  linkinfo: objectOf({ info_kind: isText }),
  addr_info: listOf(ADDRESS),
});

const WAY = { dev: isText, gateway: isText };
const DEFAULT_ROUTE = objectOf({
  ...WAY,
  dst: isText,
  metric: isNumber,
  nexthops: listOf(objectOf(WAY)),
});

function parseLinkAddress(json: Checked<typeof ADDRESS>): LinkAddress[] {
  const { local, prefixlen } = json;
  if (local === undefined || prefixlen === undefined) return [];
  return [{
    ...parseInterfaceAddress(`${local}/${prefixlen}`),
    scope: json.scope ?? "global",
    isTransient: [json.temporary, json.deprecated, json.tentative]
      .includes(true),
    ...json.secondary && { isSecondary: true },
  }];
}

/**
 * What may have changed in the kernel. `interfaces`: links, addresses or their
 * settings, and with them routes.
 */
export type KernelEvent = "routes" | "interfaces";

/** The change that a line of `ip -o -N monitor label` announces. */
export type MonitorLine =
  | { readonly kind: "interfaces" }
  /** `key` is equal for the announcement and for the command that causes it. */
  | { readonly kind: "routes"; readonly key: string };

/** Number of the table with this host's own addresses, which have events of their own. */
const LOCAL_TABLE = / table 255\b/;
const ROUTE_LINE = /^\[ROUTE\](Deleted )?(?:\d+ )?(\S+) (?:.* )?proto (\d+)\b/;
const COMMAND = /^route (add|del) (?:[a-z]+ )?(\S+) (?:.* )?proto (\d+)\b/;

/** Reads a line (ip-monitor(8)); undefined for one that changes nothing of ours. */
export function parseMonitorLine(line: string): MonitorLine | undefined {
  if (line === "") return undefined;
  if (!line.startsWith("[ROUTE]")) return { kind: "interfaces" };
  if (LOCAL_TABLE.test(line)) return undefined;
  const [, deleted, destination = "", protocol = ""] = ROUTE_LINE.exec(line) ??
    [];
  const verb = deleted === undefined ? "add" : "del";
  return { kind: "routes", key: keyOf(verb, destination, protocol) };
}

/** The key of the event that a line for `ip -batch` causes; undefined for none. */
export function eventKey(batchLine: string): string | undefined {
  const [, verb, destination = "", protocol = ""] = COMMAND.exec(batchLine) ??
    [];
  return verb === undefined ? undefined : keyOf(verb, destination, protocol);
}

/** `ip` prints neither the length of a host route nor that of a default route. */
function keyOf(verb: string, destination: string, protocol: string): string {
  const text = destination.replace(/^(?:0\.0\.0\.0|::)\/0$/, "default")
    .replace(/(?<=\..*)\/32$|\/128$/, "");
  return `${verb} ${text} ${protocol}`;
}
