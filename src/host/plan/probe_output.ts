import { type Address, type Family, parseAddress } from "../../net/address.ts";
import {
  type Checked,
  isText,
  isTextOrNumber,
  listOf,
  objectOf,
  readRows,
  readStrictly,
} from "../../routes/plan/tool_json.ts";
import { parseKernelRoutes } from "../../routes/plan/ip_json.ts";
import type { KernelRoute } from "../../routes/plan/kernel_route.ts";

/** The kernel's route for packets to one address. */
export type RouteLookup =
  | {
    readonly kind: "way";
    /** Whether the destination is an address of this host. */
    readonly isLocal: boolean;
    readonly device: string;
    /** Undefined for a directly connected destination. */
    readonly gateway: Address | undefined;
    /** The matching route; undefined on kernels that do not show it. */
    readonly match: RouteMatch | undefined;
  }
  | {
    readonly kind: "none";
    /** Such as "no route leads there". */
    readonly why: string;
  };

/** A matching route and its table. */
export interface RouteMatch {
  readonly route: KernelRoute;
  /** Number of the table that a policy rule names (ip-rule(8)); undefined for the main table. */
  readonly table: string | undefined;
}

/** The meaning of the kernel's errors in a lookup (ip-route(8), "unreachable" and others). */
const REASONS: ReadonlyMap<string, string> = new Map([
  ["Network is unreachable", "no route leads there"],
  [
    "No route to host",
    "a route or a rule makes it unreachable, or this host does not forward",
  ],
  ["Permission denied", "a route or a rule prohibits it"],
  ["Invalid argument", "a route or a rule throws it away"],
  [
    "Invalid cross-device link",
    "rp_filter drops what comes from there",
  ],
]);

/**
 * Reads the output of `ip -N -json route get ADDRESS`, and the matching route in
 * that of `ip -N -json route get fibmatch ADDRESS` (ip-route(8)).
 *
 * @throws {SyntaxError} when it is not such output
 */
export function parseRouteLookup(
  way: string,
  fibmatch: string,
): RouteLookup {
  const [found] = readLookups(way);
  if (found === undefined) throw new SyntaxError("ip printed no route");
  const { type, dev, gateway, via } = found;
  const next = gateway ?? via?.host;
  const [match] = readLookups(fibmatch);
  const [route] = match
    ? parseKernelRoutes(JSON.stringify([{ ...match, table: undefined }]))
    : [];
  return {
    kind: "way",
    // -N prints the number of the type (rtnetlink(7)).
    isLocal: type === "local" || type === "2",
    device: dev ?? "",
    gateway: next === undefined
      ? undefined
      : readStrictly("ip", () => parseAddress(next)),
    match: route && { route, table: tableOf(match?.table) },
  };
}

/** The source address in the output of `ip -json route get ADDRESS` (ip-route(8)); undefined for none. */
export function parseSource(text: string): Address | undefined {
  const source = readLookups(text)[0]?.prefsrc;
  return source === undefined
    ? undefined
    : readStrictly("ip", () => parseAddress(source));
}

/** Reads the error of `ip route get`; undefined when it is not about the route. */
export function parseLookupFailure(
  stderr: string,
): RouteLookup | undefined {
  const error = /^RTNETLINK answers: (.+)$/m.exec(stderr)?.[1];
  return error === undefined
    ? undefined
    : { kind: "none", why: REASONS.get(error) ?? error };
}

const LOOKUP = objectOf({
  ...{ type: isText, dev: isText, gateway: isText, table: isTextOrNumber },
  prefsrc: isText,
  via: objectOf({ host: isText }),
});

/** 254 is the main table. */
function tableOf(table: string | number | undefined): string | undefined {
  const text = table === undefined ? "254" : String(table);
  return text === "254" || text === "main" ? undefined : text;
}

function readLookups(text: string): readonly Checked<typeof LOOKUP>[] {
  return readRows(text, { program: "ip", check: LOOKUP });
}

/** An entry of the kernel's neighbour table. */
export interface Neighbour {
  readonly address: Address;
  /** Name of the interface. */
  readonly device: string;
  /** Its link-layer address; empty while no host has answered. */
  readonly macAddress: string;
  /** States such as `REACHABLE` or `FAILED` (ip-neighbour(8)). */
  readonly states: readonly string[];
}

/**
 * - `sure`: it answered recently, or need not be asked
 * - `old`: it answered some time ago
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
  const neighbours = readRows(text, { program: "ip", check });
  return readStrictly(
    "ip",
    () =>
      neighbours.flatMap(({ dst, dev, lladdr, state }) =>
        // Some versions of `ip` print an empty object for each filtered-out item.
        dst === undefined ? [] : [{
          address: parseAddress(dst),
          device: dev ?? device,
          macAddress: lladdr ?? "",
          states: state ?? [],
        }]
      ),
  );
}

/** How certain the kernel is of a neighbour's link-layer address. */
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
  const rows = readRows(text, { program: "bridge", check });
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

/** The result of an echo request. */
export interface PingAnswer {
  readonly isAnswered: boolean;
  /** Requests that were sent if neither an answer nor an error came. */
  readonly silentRequests?: number;
  /** The MTU that a router or this host reported; undefined for none. */
  readonly mtuBytes: number | undefined;
  /**
   * The host that reported the destination as unreachable, or the end of the
   * packet's hops; undefined for none.
   */
  readonly errorFrom?: string;
  /** Round-trip time of the answer in ms; undefined without one. */
  readonly roundTripMs?: number;
}

/** Bytes of the headers of an echo request (RFC 792, RFC 4443). */
const HEADER_BYTES: Record<Family, number> = { 4: 20 + 8, 6: 40 + 8 };

/** The payload of an echo request of a size, in bytes; 0 for a size that is too small. */
export function pingPayloadBytes(packetBytes: number, family: Family): number {
  return Math.max(0, packetBytes - HEADER_BYTES[family]);
}

/**
 * Reads both outputs of `ping` from iputils; undefined when it could not try.
 */
export function parsePing(text: string): PingAnswer | undefined {
  const [, requests, received] =
    /\b(\d{1,10}) packets transmitted, (\d{1,10}) received/.exec(text) ?? [];
  if (received === undefined) {
    // No route: it sent nothing, and nothing would have got anywhere.
    return /^ping: (?:connect|sendmsg): (?:Network is unreachable|No route to host)/m
        .test(text)
      ? { isAnswered: false, mtuBytes: undefined }
      : undefined;
  }
  // "Frag needed and DF set (mtu = 1400)", "Packet too big: mtu=1400",
  // "local error: message too long, mtu: 1500".
  const mtu = /\bmtu ?[=:] ?(\d{1,10})/i.exec(text)?.[1];
  const errorFrom =
    /^From ([0-9a-f.:]+).*(?:Unreachable|Time(?: to live)? exceeded)/im
      .exec(text)?.[1];
  const isSilent = received === "0" && !/ \+\d{1,10} errors/.test(text);
  const time = / time[=<](\d{1,10}(?:\.\d{1,6})?) ms/.exec(text)?.[1];
  return {
    ...time !== undefined && { roundTripMs: Number(time) },
    ...errorFrom !== undefined && {
      errorFrom: errorFrom.replace(/:$/, ""),
    },
    isAnswered: received !== "0",
    ...isSilent && { silentRequests: Number(requests) },
    mtuBytes: mtu === undefined ? undefined : Number(mtu),
  };
}
