import { type Address, parseAddress } from "../net/address.ts";

/** An entry of the kernel's neighbour table: who has an address on a link. */
export interface Neighbour {
  readonly address: Address;
  /** Name of the interface. */
  readonly device: string;
  /** Its link-layer address; empty while nobody has answered for the address. */
  readonly macAddress: string;
  /** How sure the kernel is, such as `REACHABLE` or `FAILED` (ip-neighbour(8)). */
  readonly states: readonly string[];
}

/**
 * - `sure`: it answered a short while ago, or needs not be asked
 * - `old`: it answered once
 * - `none`: it did not answer
 */
export type Resolution = "sure" | "old" | "none";

/** States in which the kernel sends without asking first. */
const SURE = new Set(["REACHABLE", "PERMANENT", "NOARP"]);
const NONE = new Set(["FAILED", "INCOMPLETE", "NONE"]);

/**
 * The entries in the output of `ip -json neighbour show` (ip-neighbour(8)).
 *
 * @param device the interface that was asked for: `ip` leaves its name out then
 * @throws {SyntaxError} when it is not such output
 */
export function parseNeighbours(text: string, device = ""): Neighbour[] {
  return parseArray(text).flatMap((value) => {
    const { dst, dev, lladdr, state } = value as JsonNeighbour;
    // Some versions of `ip` print an empty object for what they filtered out.
    return dst === undefined ? [] : [{
      address: parseAddress(dst),
      device: dev ?? device,
      macAddress: lladdr ?? "",
      states: state ?? [],
    }];
  });
}

/** How far the kernel knows where to send what goes to a neighbour. */
export function resolutionOf({ states }: Neighbour): Resolution {
  if (states.some((state) => SURE.has(state))) return "sure";
  return states.some((state) => NONE.has(state)) ? "none" : "old";
}

/**
 * The ports of a bridge by the link-layer addresses that are behind them, in
 * the output of `bridge -json fdb show br NAME` (bridge(8)). The bridge's own
 * addresses and multicast are left out.
 *
 * @throws {SyntaxError} when it is not such output
 */
export function parseBridgePorts(text: string): Map<string, string> {
  return new Map(
    parseArray(text).flatMap((value) => {
      const { mac, ifname, state } = value as JsonForwarding;
      // What a bridge has learned has no state, or an old one.
      const isLearned = state !== "permanent";
      return mac === undefined || ifname === undefined || !isLearned
        ? []
        : [[mac, ifname] as const];
    }),
  );
}

interface JsonNeighbour {
  readonly dst?: string;
  readonly dev?: string;
  readonly lladdr?: string;
  readonly state?: readonly string[];
}

interface JsonForwarding {
  readonly mac?: string;
  readonly ifname?: string;
  readonly state?: string;
}

function parseArray(text: string): unknown[] {
  // `ip` prints nothing at all where there is nothing to show.
  const value: unknown = text.trim() === "" ? [] : JSON.parse(text);
  if (!Array.isArray(value)) throw new SyntaxError("ip printed no list");
  return value;
}
