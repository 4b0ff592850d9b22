import type { Address, Family } from "../../net/address.ts";
import {
  type InterfaceAddress,
  parseInterfaceAddress,
} from "../../net/prefix.ts";
import {
  type Checked,
  isFlag,
  isNumber,
  isText,
  listOf,
  objectOf,
  readRows,
  readStrictly,
} from "./tool_json.ts";

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

/** An interface of this host. */
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
 * The default routes in the output of `ip -json -4 route show default` (or
 * `-6`), one for each next hop.
 *
 * @throws {SyntaxError} when it is not such output
 */
export function parseDefaultRoutes(
  text: string,
  family: Family,
): DefaultRoute[] {
  const routes = readRows(text, { program: "ip", check: ROUTE });
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
const ROUTE = objectOf({
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
