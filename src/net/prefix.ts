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

/** The number of addresses in a prefix. */
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

/** The number of addresses of a subnet that containers can get: 1,021 of a `/22`, 0 where it is too small. */
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

/** A block of addresses with a purpose of its own (RFC 6890). */
export interface SpecialBlock {
  readonly prefix: Prefix;
  /** Its purpose, such as "loopback". */
  readonly name: string;
}

const BLOCKS: readonly SpecialBlock[] = [
  ["0.0.0.0/8", "this network"],
  ["127.0.0.0/8", "loopback"],
  ["169.254.0.0/16", "link-local"],
  ["224.0.0.0/4", "multicast"],
  ["240.0.0.0/4", "reserved"],
  ["::/127", "unspecified and loopback"],
  ["fe80::/10", "link-local"],
  ["ff00::/8", "multicast"],
].map(([cidr, name]) => ({ prefix: parsePrefix(cidr!), name: name! }));

/**
 * Parses a network of containers.
 *
 * @throws {RangeError} when it is none, or overlaps a block with a purpose of
 * its own
 */
export function parseNetwork(text: string): Prefix {
  const network = parsePrefix(text);
  const block = BLOCKS.find(({ prefix }) => overlaps(prefix, network));
  if (!block) return network;
  throw new RangeError(
    `"${text}" cannot be a network: it overlaps ${
      formatPrefix(block.prefix)
    } (${block.name})`,
  );
}

/** The block that a destination lies in as a whole, or undefined when it can be routed. */
export function specialBlockOf(destination: Prefix): SpecialBlock | undefined {
  return BLOCKS.find(({ prefix }) => containsPrefix(prefix, destination));
}

/** A block that a destination overlaps, or undefined for none. */
export function overlappedBlock(
  destination: Prefix,
): SpecialBlock | undefined {
  return BLOCKS.find(({ prefix }) => overlaps(prefix, destination));
}

/** The block that keeps an address from being a next hop, or undefined. Link-local ones may be. */
export function nextHopBlock(address: Address): SpecialBlock | undefined {
  return BLOCKS.find(({ prefix, name }) =>
    name !== "link-local" && containsAddress(prefix, address)
  );
}
