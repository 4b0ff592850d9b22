import type { JsonObject, JsonReader } from "../../base/json_reader.ts";
import { parseAddress } from "../../net/address.ts";
import {
  containsAddress,
  type InterfaceAddress,
  parseInterfaceAddress,
  parsePrefix,
  type Prefix,
} from "../../net/prefix.ts";
import { CniError } from "./errors.ts";
import { describe, parsed, readConfig } from "./json.ts";
import { type CniVersion, isAtLeast } from "./version.ts";

/** One address that a container holds. */
export interface HeldAddress {
  /** With the prefix length of its subnet, such as `172.16.0.2/22`. */
  readonly text: string;
  readonly cidr: InterfaceAddress;
  readonly gateway: string;
}

/** A route for the container. Without `gw` the calling plugin takes the gateway. */
export interface CniRoute {
  readonly family: 4 | 6;
  readonly dst: string;
  readonly gw?: string;
  /** The numbers that version 1.1.0 adds: mtu, advmss, priority, table, scope. */
  readonly extras: Readonly<Record<string, number>>;
}

/** Resolver settings, which the plugin passes on as they are. */
export interface CniDns {
  readonly nameservers?: readonly string[];
  readonly domain?: string;
  readonly search?: readonly string[];
  readonly options?: readonly string[];
}

const EXTRAS = ["mtu", "advmss", "priority", "table", "scope"];

/** The answer to ADD. */
export interface AddResult {
  readonly addresses: readonly HeldAddress[];
  readonly routes: readonly CniRoute[];
  readonly dns: CniDns;
}

/**
 * Reads `ipam.routes`. None: no routes, the calling plugin decides.
 *
 * @throws {CniError} `invalid_config`
 */
export function parseRoutes(config: JsonObject): readonly CniRoute[] {
  const ipam = readConfig(config).optionalObject("ipam");
  return (ipam?.optionalObjects("routes") ?? []).map(parseRoute);
}

/** Reads `ipam.dns`, else `dns`. @throws {CniError} `invalid_config` */
export function parseDns(config: JsonObject): CniDns {
  const reader = readConfig(config);
  const dns = reader.optionalObject("ipam")?.optionalObject("dns") ??
    reader.optionalObject("dns");
  if (!dns) return {};
  const nameservers = dns.optionalTexts("nameservers");
  const domain = dns.optionalText("domain");
  const search = dns.optionalTexts("search");
  const options = dns.optionalTexts("options");
  return {
    ...(nameservers && { nameservers }),
    ...(domain !== undefined && { domain }),
    ...(search && { search }),
    ...(options && { options }),
  };
}

function parseRoute(route: JsonReader): CniRoute {
  const dst = route.text("dst");
  const prefix = parseDestination(route, dst);
  const gw = route.optionalText("gw");
  if (gw !== undefined) checkGateway(route, gw, prefix);
  const extras: Record<string, number> = {};
  for (const key of EXTRAS) {
    const value = route.optionalCount(key);
    if (value !== undefined) extras[key] = value;
  }
  return {
    family: prefix.family,
    dst,
    ...(gw !== undefined && { gw }),
    extras,
  };
}

function parseDestination(route: JsonReader, text: string): Prefix {
  const prefix = parsed(parsePrefix, text);
  if (prefix) return prefix;
  throw route.invalid(
    "dst",
    parsed(parseInterfaceAddress, text)
      ? `${describe(text)} has bits set behind the prefix length`
      : `${describe(text)} is not a prefix such as "10.0.0.0/8"`,
  );
}

function checkGateway(route: JsonReader, text: string, dst: Prefix): void {
  const gateway = parsed(parseAddress, text);
  if (!gateway) {
    throw route.invalid("gw", `${describe(text)} is not an address`);
  }
  if (gateway.family !== dst.family) {
    throw route.invalid(
      "gw",
      `${describe(text)} is not an IPv${dst.family} address, as dst is`,
    );
  }
}

/**
 * Formats the result of ADD in the shape of a version of the specification.
 *
 * @throws {CniError} `invalid_config` when the version has no room for two
 * addresses of one family
 */
export function formatResult(version: CniVersion, result: AddResult): string {
  const shape = isAtLeast(version, "0.3.0")
    ? listResult(version, result)
    : familyResult(version, result);
  return JSON.stringify({ cniVersion: version, ...shape, dns: result.dns }) +
    "\n";
}

function familyResult(version: CniVersion, result: AddResult): JsonObject {
  const shape: Record<string, unknown> = {};
  for (const { text, cidr, gateway } of result.addresses) {
    const { family } = cidr.address;
    const key = `ip${family}`;
    if (key in shape) {
      throw new CniError(
        "invalid_config",
        `Cannot answer in "cniVersion" "${version}": it has room for one IPv${family} address; use 0.3.0 or later`,
      );
    }
    const routes = result.routes.filter((route) => route.family === family);
    shape[key] = {
      ip: text,
      gateway,
      ...(routes.length > 0 &&
        { routes: routes.map((r) => formatRoute(version, r)) }),
    };
  }
  return shape;
}

/** From 0.3.0 on: a list, which up to 0.4.0 names the family of each address. */
function listResult(version: CniVersion, result: AddResult): JsonObject {
  const isNamed = !isAtLeast(version, "1.0.0");
  return {
    ips: result.addresses.map(({ text, cidr, gateway }) => ({
      ...(isNamed && { version: String(cidr.address.family) }),
      address: text,
      gateway,
    })),
    ...(result.routes.length > 0 &&
      { routes: result.routes.map((r) => formatRoute(version, r)) }),
  };
}

function formatRoute(version: CniVersion, route: CniRoute): JsonObject {
  const { dst, gw, extras } = route;
  return {
    dst,
    ...(gw !== undefined && { gw }),
    ...(isAtLeast(version, "1.1.0") && extras),
  };
}

/**
 * Reads the addresses of `prevResult`, of any version's shape.
 *
 * @throws {CniError} `invalid_config` when it is missing or malformed
 */
export function parsePrevAddresses(
  config: JsonObject,
): readonly InterfaceAddress[] {
  const prev = readConfig(config).object("prevResult");
  return (prev.optionalObjects("ips") ?? []).map((ip) => {
    const text = ip.text("address");
    const cidr = parsed(parseInterfaceAddress, text);
    if (cidr) return cidr;
    throw ip.invalid(
      "address",
      `${describe(text)} is not an address with a prefix length`,
    );
  });
}

/**
 * Compares `prevResult` with the addresses that the container holds: each held
 * address has to be in it, and each address in it that lies in a subnet of the
 * held ones has to be held. Addresses of other plugins in the chain do not
 * matter.
 *
 * @throws {CniError} `check_failed` naming the address
 */
export function checkAddresses(
  held: readonly HeldAddress[],
  previous: readonly InterfaceAddress[],
): void {
  for (const { text, cidr } of held) {
    if (previous.some((other) => isSame(cidr, other))) continue;
    throw new CniError(
      "check_failed",
      `Cannot confirm prevResult: the container holds "${text}", which is not in it`,
    );
  }
  const foreign = previous.findIndex((other) =>
    held.some(({ cidr }) => containsAddress(cidr.prefix, other.address)) &&
    !held.some(({ cidr }) => isSame(cidr, other))
  );
  if (foreign < 0) return;
  throw new CniError(
    "check_failed",
    `Cannot confirm prevResult: the container does not hold the address of "prevResult.ips[${foreign}]", it holds ${
      held.map(({ text }) => `"${text}"`).join(" and ")
    }`,
  );
}

function isSame(a: InterfaceAddress, b: InterfaceAddress): boolean {
  return a.prefix.length === b.prefix.length &&
    a.address.family === b.address.family &&
    a.address.value === b.address.value;
}
