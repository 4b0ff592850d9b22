import {
  type Address,
  addressBits,
  compareAddresses,
  type Family,
  formatAddress,
  parseAddress,
  quote,
} from "./address.ts";

/**
 * A block of addresses: all that share the first `length` bits of `value`
 * (RFC 4632). The bits of `value` behind `length` are zero.
 */
export interface Prefix {
  readonly family: Family;
  readonly value: bigint;
  readonly length: number;
}

/** An address as it stands on an interface: with the prefix of its link. */
export interface InterfaceAddress {
  readonly address: Address;
  readonly prefix: Prefix;
}

/**
 * Parses a prefix such as `172.16.0.0/12` or `fd00::/48`.
 *
 * @throws {RangeError} when it is none, or when host bits are set; then the
 * message tells the prefix that was probably meant
 */
export function parsePrefix(text: string): Prefix {
  const { address, prefix } = parseInterfaceAddress(text);
  if (address.value !== prefix.value) {
    throw new RangeError(
      `${quote(text)} has host bits set: the prefix would be "${
        formatPrefix(prefix)
      }"`,
    );
  }
  return prefix;
}

/**
 * Parses an address with a prefix length, such as `172.16.0.1/22`: host bits
 * may be set.
 *
 * @throws {RangeError} when it is none
 */
export function parseInterfaceAddress(text: string): InterfaceAddress {
  const match = /^([^/]+)\/(0|[1-9]\d{0,2})$/.exec(text);
  if (!match) {
    throw new RangeError(
      `${
        quote(text)
      } is not a prefix: write an address, "/" and a prefix length, such as "172.16.0.0/12"`,
    );
  }
  const address = parseAddress(match[1]!);
  const length = Number(match[2]);
  const bits = addressBits(address.family);
  if (length > bits) {
    throw new RangeError(
      `${
        quote(text)
      } is not a prefix: the length of an IPv${address.family} prefix is 0 to ${bits}`,
    );
  }
  return { address, prefix: prefixOf(address, length) };
}

/** Formats a prefix canonically. */
export function formatPrefix(prefix: Prefix): string {
  return `${formatAddress(prefix)}/${prefix.length}`;
}

/** The prefix of the given length that an address lies in. */
export function prefixOf(address: Address, length: number): Prefix {
  const hostBits = BigInt(addressBits(address.family) - length);
  return {
    family: address.family,
    value: (address.value >> hostBits) << hostBits,
    length,
  };
}

/** How many addresses a prefix has. */
export function prefixSize(prefix: Prefix): bigint {
  return 1n << BigInt(addressBits(prefix.family) - prefix.length);
}

/** The last address of a prefix: for IPv4 the directed broadcast address. */
export function lastAddress(prefix: Prefix): Address {
  return {
    family: prefix.family,
    value: prefix.value + prefixSize(prefix) - 1n,
  };
}

/** Whether an address lies in a prefix. IPv4 never lies in IPv6. */
export function containsAddress(prefix: Prefix, address: Address): boolean {
  return prefix.family === address.family &&
    prefixOf(address, prefix.length).value === prefix.value;
}

/** Whether `inner` lies wholly in `outer`. Equal prefixes contain each other. */
export function containsPrefix(outer: Prefix, inner: Prefix): boolean {
  return inner.length >= outer.length && containsAddress(outer, inner);
}

/** Whether two prefixes share an address: one then contains the other. */
export function overlaps(a: Prefix, b: Prefix): boolean {
  return containsPrefix(a, b) || containsPrefix(b, a);
}

/** Orders prefixes: by first address, the shorter prefix first. */
export function comparePrefixes(a: Prefix, b: Prefix): number {
  return compareAddresses(a, b) || a.length - b.length;
}
