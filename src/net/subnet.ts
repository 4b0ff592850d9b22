import type { Address } from "./address.ts";
import {
  containsAddress,
  formatPrefix,
  lastAddress,
  type Prefix,
} from "./prefix.ts";

/**
 * Offsets from the first address of a subnet that containers can get, first
 * and last included.
 */
export interface UsableRange {
  readonly first: bigint;
  readonly last: bigint;
}

/** What an address is when it is never given to a container. */
export type Exclusion =
  | "network address"
  | "subnet-router anycast address"
  | "gateway"
  | "broadcast address";

/** The gateway of a subnet: its first usable address. */
export function gatewayOf(subnet: Prefix): Address {
  return { family: subnet.family, value: subnet.value + 1n };
}

/**
 * The addresses that containers can get. In IPv4 the network, gateway and
 * broadcast addresses are left out (RFC 1122 section 3.2.1.3); in IPv6 the
 * subnet-router anycast address (RFC 4291 section 2.6.1) and the gateway.
 */
export function usableRange(subnet: Prefix): UsableRange {
  const size = lastAddress(subnet).value - subnet.value;
  return { first: 2n, last: subnet.family === 4 ? size - 1n : size };
}

/** How many addresses of a subnet containers can get: 1,021 of a `/22`, 0 where it is too small. */
export function capacityOf(subnet: Prefix): bigint {
  const { first, last } = usableRange(subnet);
  return last < first ? 0n : last - first + 1n;
}

/** Why an address of a subnet is never given out, or undefined when it may be. */
export function exclusionOf(
  subnet: Prefix,
  address: Address,
): Exclusion | undefined {
  const offset = address.value - subnet.value;
  if (offset === 0n) {
    return subnet.family === 4
      ? "network address"
      : "subnet-router anycast address";
  }
  if (offset === 1n) return "gateway";
  if (subnet.family === 4 && address.value === lastAddress(subnet).value) {
    return "broadcast address";
  }
  return undefined;
}

/**
 * The address at an offset from the first address of a subnet.
 *
 * @throws {RangeError} when the subnet has no such address
 */
export function addressAt(subnet: Prefix, offset: bigint): Address {
  const address = { family: subnet.family, value: subnet.value + offset };
  if (!containsAddress(subnet, address)) {
    throw new RangeError(
      `"${formatPrefix(subnet)}" has no address at offset ${offset}`,
    );
  }
  return address;
}
