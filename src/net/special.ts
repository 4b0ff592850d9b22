import type { Address } from "./address.ts";
import {
  containsAddress,
  containsPrefix,
  formatPrefix,
  overlaps,
  parsePrefix,
  type Prefix,
} from "./prefix.ts";

/** A block of addresses with a purpose of its own (RFC 6890). */
export interface SpecialBlock {
  readonly prefix: Prefix;
  /** What it is for, such as "loopback". */
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
 * Parses a prefix that is to be a network of containers.
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
