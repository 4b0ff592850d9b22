import { type Address, parseAddress } from "../../net/address.ts";
import {
  isText,
  listOf,
  objectOf,
  readRows,
  readStrictly,
} from "../../routes/plan/tool_json.ts";

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
  const check = NEIGHBOUR;
  const neighbours = readRows<JsonNeighbour>(text, { program: "ip", check });
  return readStrictly(
    "ip",
    () =>
      neighbours.flatMap(({ dst, dev, lladdr, state }) =>
        // Some versions of `ip` print an empty object for what they filtered out.
        dst === undefined ? [] : [{
          address: parseAddress(dst),
          device: dev ?? device,
          macAddress: lladdr ?? "",
          states: state ?? [],
        }]
      ),
  );
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
  const check = FORWARDING;
  const rows = readRows<JsonForwarding>(text, { program: "bridge", check });
  return new Map(
    rows.flatMap(({ mac, ifname, state }) => {
      // What a bridge has learned has no state, or an old one.
      const isLearned = state !== "permanent";
      return mac === undefined || ifname === undefined || !isLearned
        ? []
        : [[mac, ifname] as const];
    }),
  );
}

const NEIGHBOUR = objectOf({
  dst: isText,
  dev: isText,
  lladdr: isText,
  state: listOf(isText),
});

const FORWARDING = objectOf({ mac: isText, ifname: isText, state: isText });

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
