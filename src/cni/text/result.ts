import { CniError } from "./errors.ts";
import {
  type AddressWithLength,
  isInside,
  isSameAddress,
  parseCidr,
} from "./ip_text.ts";
import {
  describe,
  invalidKey,
  type JsonObject,
  readList,
  readObject,
  readString,
  requireValue,
} from "./json.ts";
import type { CniDns, CniRoute } from "./routes.ts";
import { type CniVersion, isAtLeast } from "./version.ts";

/** One address that a container holds. */
export interface HeldAddress {
  /** With the prefix length of its subnet, such as `172.16.0.2/22`. */
  readonly text: string;
  readonly cidr: AddressWithLength;
  readonly gateway: string;
}

/** What ADD tells. */
export interface AddResult {
  readonly addresses: readonly HeldAddress[];
  readonly routes: readonly CniRoute[];
  readonly dns: CniDns;
}

/**
 * Formats the result of ADD as a version of the specification has it.
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

/** 0.1.0 and 0.2.0: one object a family. */
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
): readonly AddressWithLength[] {
  const prev = requireValue(
    readObject(config.prevResult, "prevResult"),
    "prevResult",
  );
  return (readList(prev.ips, "prevResult.ips") ?? []).map((value, index) => {
    const path = `prevResult.ips[${index}]`;
    const ip = requireValue(readObject(value, path), path);
    const text = requireValue(
      readString(ip.address, `${path}.address`),
      `${path}.address`,
    );
    const cidr = parseCidr(text);
    if (cidr) return cidr;
    throw invalidKey(
      `${path}.address`,
      `${describe(text)} is not an address with a prefix length`,
    );
  });
}

/**
 * Compares what a container was told with what it holds: each address that it
 * holds has to be there, and each that is there and lies in a subnet of those
 * has to be held. Addresses of other plugins in the chain are left alone.
 *
 * @throws {CniError} `check_failed` naming the address
 */
export function checkAddresses(
  held: readonly HeldAddress[],
  told: readonly AddressWithLength[],
): void {
  for (const { text, cidr } of held) {
    if (told.some((other) => isSame(cidr, other))) continue;
    throw new CniError(
      "check_failed",
      `Cannot confirm prevResult: the container holds "${text}", which is not in it`,
    );
  }
  const foreign = told.findIndex((other) =>
    held.some(({ cidr }) => isInside(other.address, cidr)) &&
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

function isSame(a: AddressWithLength, b: AddressWithLength): boolean {
  return a.length === b.length && isSameAddress(a.address, b.address);
}
