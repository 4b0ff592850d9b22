import { addressBits } from "../../net/address.ts";
import { type Carve, sliceAt, slicesOverlapping } from "../../net/carve.ts";
import {
  containsPrefix,
  formatPrefix,
  overlaps,
  type Prefix,
  prefixOf,
} from "../../net/prefix.ts";
import type { LocalPrefix } from "./cluster_state.ts";

/** Most prefixes of a host that are kept as they are. More of them become whole slices. */
const MAX_EXACT = 64;
/** Most prefixes of a host that count. */
export const MAX_LOCAL_PREFIXES = 512;

/**
 * The prefixes of a host that count: those that overlap a network, except those
 * inside the node's own subnets.
 *
 * A host with many prefixes reports whole slices, and neighbouring slices as
 * one prefix. Of more than {@linkcode MAX_LOCAL_PREFIXES} the widest count.
 */
export function relevantPrefixes(
  networks: readonly Carve[],
  subnets: readonly Prefix[],
  prefixes: readonly LocalPrefix[],
): LocalPrefix[] {
  const relevant = prefixes.filter(({ prefix }) =>
    networks.some(({ network }) => overlaps(network, prefix)) &&
    !subnets.some((subnet) => containsPrefix(subnet, prefix))
  );
  if (relevant.length <= MAX_EXACT) return relevant;
  return mergeSlices(networks, relevant.map((l) => widen(networks, l)))
    .sort((a, b) => a.prefix.length - b.prefix.length)
    .slice(0, MAX_LOCAL_PREFIXES);
}

/** A prefix that is longer than a slice becomes its slice. */
function widen(networks: readonly Carve[], local: LocalPrefix): LocalPrefix {
  const { prefix } = local;
  const carve = networks.find(({ network }) => overlaps(network, prefix))!;
  if (prefix.length <= carve.subnetPrefixLength) return local;
  const { first } = slicesOverlapping(carve, prefix)!;
  return { ...local, prefix: sliceAt(carve, first) };
}

/** Joins pairs of halves, and drops prefixes inside others. */
function mergeSlices(
  networks: readonly Carve[],
  prefixes: readonly LocalPrefix[],
): LocalPrefix[] {
  const merged = new Map(
    prefixes.map((local) => [formatPrefix(local.prefix), local]),
  );
  const narrowestFirst = [...merged.values()]
    .sort((a, b) => b.prefix.length - a.prefix.length);
  for (
    let local = narrowestFirst.shift();
    local;
    local = narrowestFirst.shift()
  ) {
    const { prefix } = local;
    if (prefix.length === 0) continue;
    const text = formatPrefix(prefix);
    const other = formatPrefix(otherHalf(prefix));
    if (!merged.has(text) || !merged.has(other)) continue;
    const parent = prefixOf(prefix, prefix.length - 1);
    // A prefix as wide as the network would block nobody.
    if (networks.some(({ network }) => containsPrefix(parent, network))) {
      continue;
    }
    merged.delete(text);
    merged.delete(other);
    const joined = { ...local, prefix: parent };
    merged.set(formatPrefix(parent), joined);
    const at = narrowestFirst.findIndex((l) =>
      l.prefix.length <= parent.length
    );
    narrowestFirst.splice(at === -1 ? narrowestFirst.length : at, 0, joined);
  }
  return [...merged.values()].filter(({ prefix }) =>
    !Array.from({ length: prefix.length }, (_, length) => length)
      .some((length) => merged.has(formatPrefix(prefixOf(prefix, length))))
  );
}

/** The prefix that has the same parent. */
function otherHalf(prefix: Prefix): Prefix {
  const bit = 1n << BigInt(addressBits(prefix.family) - prefix.length);
  return { ...prefix, value: prefix.value ^ bit };
}
