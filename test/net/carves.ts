import fc from "fast-check";
import {
  type Carve,
  createCarve,
  longestSubnetPrefix,
  sliceAt,
  sliceCount,
} from "../../src/net/carve.ts";
import type { Prefix } from "../../src/net/prefix.ts";
import { anyPrefix } from "./arbitraries.ts";

/** Prefixes that are large enough to be a network. */
export const anyNetwork: fc.Arbitrary<Prefix> = anyPrefix
  .filter(({ family, length }) => length <= longestSubnetPrefix(family));

/** Carves of both families with at most 2^`maxBits` slices. */
export function anyCarve(maxBits: number): fc.Arbitrary<Carve> {
  return anyNetwork.chain((network) => {
    const longest = longestSubnetPrefix(network.family);
    return fc.integer({
      min: network.length,
      max: Math.min(longest, network.length + maxBits),
    }).map((length) => createCarve(network, length));
  });
}

/** All slices, in the order of their index. */
export function allSlices(carve: Carve): Prefix[] {
  return Array.from(
    { length: Number(sliceCount(carve)) },
    (_, i) => sliceAt(carve, BigInt(i)),
  );
}
