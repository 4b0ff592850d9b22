import { addressBits, type Family } from "./address.ts";
import { containsPrefix, formatPrefix, type Prefix } from "./prefix.ts";

/** A network and the prefix length of the slices that it is divided into. */
export interface Carve {
  readonly network: Prefix;
  readonly subnetPrefixLength: number;
}

/** The longest prefix that still has an address for a container. */
export function longestSubnetPrefix(family: Family): number {
  return addressBits(family) - 2;
}

/**
 * Decides how a network is divided.
 *
 * Without a length an IPv4 network gets 1024 slices (`/12` gives `/22`) and an
 * IPv6 network slices of `/64` (RFC 4291 section 2.5.1).
 *
 * @throws {RangeError} when the slices would be larger than the network, or
 * too small to hold a gateway and a container; the message says which length
 * would do
 */
export function createCarve(
  network: Prefix,
  subnetPrefixLength?: number,
): Carve {
  const longest = longestSubnetPrefix(network.family);
  const text = formatPrefix(network);
  if (network.length > longest) {
    throw new RangeError(
      `"${text}" is too small for a network: its prefix length is at most ${longest}`,
    );
  }
  const length = subnetPrefixLength ??
    (network.family === 4 ? network.length + 10 : 64);
  if (
    !Number.isInteger(length) || length < network.length || length > longest ||
    (subnetPrefixLength === undefined && length === network.length)
  ) {
    const shortest = subnetPrefixLength === undefined
      ? Math.min(longest, network.length + 1)
      : network.length;
    const usual = shortest + Math.floor((longest - shortest) / 2);
    const count = 2n ** BigInt(usual - network.length);
    throw new RangeError(
      `"${text}" cannot be divided into subnets of /${length}: ` +
        `the subnet prefix has to be ${shortest} to ${longest}, ` +
        `"--subnet-prefix ${usual}" would give ${count} ${
          count === 1n ? "subnet" : "subnets"
        } of /${usual}`,
    );
  }
  return { network, subnetPrefixLength: length };
}

/** The number of slices of a network. */
export function sliceCount(carve: Carve): bigint {
  return 1n << BigInt(carve.subnetPrefixLength - carve.network.length);
}

/**
 * The slice of an index, from 0; the cost does not depend on it.
 *
 * @throws {RangeError} when there is no such slice
 */
export function sliceAt(carve: Carve, index: bigint): Prefix {
  if (index < 0n || index >= sliceCount(carve)) {
    throw new RangeError(
      `"${formatPrefix(carve.network)}" has no slice ${index}`,
    );
  }
  const { network, subnetPrefixLength } = carve;
  return {
    family: network.family,
    value: network.value + (index << sliceBits(carve)),
    length: subnetPrefixLength,
  };
}

/** The index of a slice, or undefined when the prefix is not a slice of the network. */
export function sliceIndex(carve: Carve, prefix: Prefix): bigint | undefined {
  if (
    prefix.length !== carve.subnetPrefixLength ||
    !containsPrefix(carve.network, prefix)
  ) return undefined;
  return (prefix.value - carve.network.value) >> sliceBits(carve);
}

/**
 * The indices of the slices that overlap a prefix, first and last included, or
 * undefined when none does.
 */
export function slicesOverlapping(
  carve: Carve,
  prefix: Prefix,
): { readonly first: bigint; readonly last: bigint } | undefined {
  const { network } = carve;
  if (containsPrefix(prefix, network)) {
    return { first: 0n, last: sliceCount(carve) - 1n };
  }
  if (!containsPrefix(network, prefix)) return undefined;
  const offset = prefix.value - network.value;
  const size = 1n << BigInt(addressBits(prefix.family) - prefix.length);
  return {
    first: offset >> sliceBits(carve),
    last: (offset + size - 1n) >> sliceBits(carve),
  };
}

function sliceBits(carve: Carve): bigint {
  return BigInt(addressBits(carve.network.family) - carve.subnetPrefixLength);
}
