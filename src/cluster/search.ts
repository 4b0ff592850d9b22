import type { Agent } from "../agent/agent.ts";
import type { HistoryRecord } from "../addresses/history.ts";
import type { Allocation } from "../addresses/plan/allocation.ts";
import {
  type Address,
  compareAddresses,
  formatAddress,
  parseAddress,
} from "../net/address.ts";
import {
  containsAddress,
  overlaps,
  parsePrefix,
  type Prefix,
} from "../net/prefix.ts";

/** A thing to search for. */
export type Wanted =
  /** The holder of an address. */
  | { readonly kind: "address"; readonly address: Address }
  /** The holders of all addresses in a prefix. */
  | { readonly kind: "prefix"; readonly prefix: Prefix }
  /** The container with a link-layer address, in lower case and with colons. */
  | { readonly kind: "mac"; readonly macAddress: string }
  /** A container or a node with that name. */
  | { readonly kind: "name"; readonly name: string };

/** The matches of a search among the allocations of one node. */
export interface Matches {
  readonly held: readonly Allocation[];
  /** Former holders, the latest first. */
  readonly history: readonly HistoryRecord[];
}

/** Allocations that a search of one node returns at most. */
const MAX_MATCHES = 1_000;

/** A 48-bit address with colons or hyphens (IEEE Std 802-2014, 8.1). */
const MAC = /^[\da-f]{2}(?:(?::[\da-f]{2}){5}|(?:-[\da-f]{2}){5})$/i;

/** Reads a text as a link-layer address, an address, a prefix, else a name. */
export function parseWanted(text: string): Wanted {
  if (MAC.test(text)) {
    return {
      kind: "mac",
      macAddress: text.replaceAll("-", ":").toLowerCase(),
    };
  }
  const address = attempt(() => parseAddress(text));
  if (address) return { kind: "address", address };
  const prefix = attempt(() => parsePrefix(text));
  return prefix ? { kind: "prefix", prefix } : { kind: "name", name: text };
}

/** Whether a subnet can hold an address that is wanted; for a name or a link-layer address, any can. */
export function mayHold(subnet: Prefix, wanted: Wanted): boolean {
  switch (wanted.kind) {
    case "address":
      return containsAddress(subnet, wanted.address);
    case "prefix":
      return overlaps(subnet, wanted.prefix);
    case "mac":
    case "name":
      return true;
  }
}

/** Searches the allocations of a node that this agent keeps, and their history. */
export async function searchNode(
  agent: Agent,
  node: string,
  options: { readonly wanted: Wanted; readonly history: number },
): Promise<Matches> {
  const { wanted, history } = options;
  if (wanted.kind === "mac") {
    const held = await agent.addresses.findMac(node, wanted.macAddress);
    return { held, history: [] };
  }
  const held = await agent.addresses.list(node, {
    limit: MAX_MATCHES,
    isListed: (allocation) => holds(allocation, wanted),
  });
  if (wanted.kind === "prefix") return { held, history: [] };
  const records = await agent.addresses.history({
    node,
    // The present holder is in the history as well.
    limit: history + held.length,
    ...wanted.kind === "name"
      ? { containerId: wanted.name }
      : { address: formatAddress(wanted.address) },
  });
  const former = records.filter(({ releasedAtMs }) =>
    releasedAtMs !== undefined
  );
  return { held, history: former.slice(0, history) };
}

function holds(
  { owner, addresses }: Allocation,
  wanted: Exclude<Wanted, { readonly kind: "mac" }>,
): boolean {
  switch (wanted.kind) {
    case "name":
      return owner.containerId === wanted.name;
    case "address":
      return addresses.some(({ address }) =>
        compareAddresses(address, wanted.address) === 0
      );
    case "prefix":
      return addresses.some(({ address }) =>
        containsAddress(wanted.prefix, address)
      );
  }
}

/** The value of a parser; undefined if it refuses the text. */
function attempt<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}
