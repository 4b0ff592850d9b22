import {
  type AddressWithLength,
  isPrefix,
  parseCidr,
  parseIp,
} from "./ip_text.ts";
import {
  describe,
  invalidKey,
  type JsonObject,
  readCount,
  readList,
  readObject,
  readString,
  readStrings,
  requireValue,
} from "./json.ts";

/** A route for the container. Without `gw` the calling plugin takes the gateway. */
export interface CniRoute {
  readonly family: 4 | 6;
  readonly dst: string;
  readonly gw?: string;
  /** What version 1.1.0 adds: mtu, advmss, priority, table, scope. */
  readonly extras: Readonly<Record<string, number>>;
}

/** Resolver settings, passed on as they are. */
export interface CniDns {
  readonly nameservers?: readonly string[];
  readonly domain?: string;
  readonly search?: readonly string[];
  readonly options?: readonly string[];
}

const EXTRAS = ["mtu", "advmss", "priority", "table", "scope"];

/**
 * Reads `ipam.routes`. None: no routes, the calling plugin decides.
 *
 * @throws {CniError} `invalid_config`
 */
export function parseRoutes(config: JsonObject): readonly CniRoute[] {
  const ipam = readObject(config.ipam, "ipam");
  const routes = readList(ipam?.routes, "ipam.routes") ?? [];
  return routes.map((value, index) => {
    const path = `ipam.routes[${index}]`;
    return parseRoute(requireValue(readObject(value, path), path), path);
  });
}

/** Reads `ipam.dns`, else `dns`. @throws {CniError} `invalid_config` */
export function parseDns(config: JsonObject): CniDns {
  const ipam = readObject(config.ipam, "ipam");
  const inner = readObject(ipam?.dns, "ipam.dns");
  const [dns, path] = inner
    ? [inner, "ipam.dns"]
    : [readObject(config.dns, "dns"), "dns"];
  if (!dns) return {};
  const nameservers = readStrings(dns.nameservers, `${path}.nameservers`);
  const domain = readString(dns.domain, `${path}.domain`);
  const search = readStrings(dns.search, `${path}.search`);
  const options = readStrings(dns.options, `${path}.options`);
  return {
    ...(nameservers && { nameservers }),
    ...(domain !== undefined && { domain }),
    ...(search && { search }),
    ...(options && { options }),
  };
}

function parseRoute(route: JsonObject, path: string): CniRoute {
  const dst = requireValue(readString(route.dst, `${path}.dst`), `${path}.dst`);
  const prefix = parsePrefix(dst, `${path}.dst`);
  const gw = readString(route.gw, `${path}.gw`);
  if (gw !== undefined) checkGateway(gw, prefix, `${path}.gw`);
  const extras: Record<string, number> = {};
  for (const key of EXTRAS) {
    const value = readCount(route[key], `${path}.${key}`);
    if (value !== undefined) extras[key] = value;
  }
  return {
    family: prefix.address.family,
    dst,
    ...(gw !== undefined && { gw }),
    extras,
  };
}

function parsePrefix(text: string, path: string): AddressWithLength {
  const prefix = parseCidr(text);
  if (!prefix) {
    throw invalidKey(
      path,
      `${describe(text)} is not a prefix such as "10.0.0.0/8"`,
    );
  }
  if (isPrefix(prefix)) return prefix;
  throw invalidKey(
    path,
    `${describe(text)} has bits set behind the prefix length`,
  );
}

function checkGateway(
  text: string,
  dst: AddressWithLength,
  path: string,
): void {
  const gateway = parseIp(text);
  if (!gateway) throw invalidKey(path, `${describe(text)} is not an address`);
  if (gateway.family !== dst.address.family) {
    throw invalidKey(
      path,
      `${describe(text)} is no IPv${dst.address.family} address, as dst is`,
    );
  }
}
