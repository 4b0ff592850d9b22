import { addressBits, parseAddress } from "../../src/net/address.ts";
import { parsePrefix, type Prefix, prefixOf } from "../../src/net/prefix.ts";
import {
  defaultMetric,
  parseProtocol,
  PROTOCOL_BOOT,
} from "../../src/routes/plan/kernel_route.ts";
import { LOOPBACK } from "./fake_kernel.ts";
import type { FakeRoute, FakeRouteMatch, FakeWay } from "./fake_route_table.ts";

const TYPES = ["blackhole", "unreachable", "prohibit"];

/** The words of a route command, in any order behind the destination. */
interface RouteWords {
  readonly type: string | undefined;
  readonly destination: Prefix;
  readonly options: ReadonlyMap<string, string>;
  readonly isOnlink: boolean;
  readonly nextHops: readonly (readonly string[])[];
}

/** Reads what stands behind `ip route add`, `append` or `replace`. */
export function parseRouteChange(words: readonly string[]): FakeRoute {
  const { type = "unicast", destination, options, isOnlink, nextHops } =
    readWords(words);
  const { family } = destination;
  const metric = Number(options.get("metric") ?? 0);
  const ways = nextHops.length > 0
    ? nextHops.map((hop) => readWay(readOptions(hop).options, false))
    : [readWay(options, isOnlink)];
  return {
    destination,
    type,
    protocol: parseProtocol(options.get("proto")) ?? PROTOCOL_BOOT,
    // IPv6 has no metric 0.
    metric: metric || defaultMetric(family),
    tos: options.get("tos") ?? "",
    source: options.get("src") ?? "",
    ways: type === "unicast" ? ways : family === 4
      ? []
      // Routes that lead nowhere are on the loopback in IPv6.
      : [{ gateway: undefined, device: LOOPBACK, isOnlink: false }],
  };
}

/** Reads what stands behind `ip route del`. */
export function parseRouteMatch(words: readonly string[]): FakeRouteMatch {
  const { type, destination, options, nextHops } = readWords(words);
  const [nextHop, ...more] = nextHops;
  if (more.length > 0) throw new Error("The fake ip deletes one nexthop only");
  const way = nextHop ? readOptions(nextHop).options : options;
  const gateway = way.get("via");
  const protocol = options.get("proto");
  return {
    destination,
    type,
    protocol: protocol === undefined ? undefined : parseProtocol(protocol),
    metric: Number(options.get("metric") ?? 0),
    tos: options.get("tos") ?? "",
    gateway: gateway === undefined ? undefined : parseAddress(gateway),
    device: way.get("dev"),
    isNextHop: nextHop !== undefined,
  };
}

function readWords(words: readonly string[]): RouteWords {
  const type = TYPES.find((name) => name === words[0]);
  const [to = "", ...rest] = type === undefined ? words : words.slice(1);
  const [own = [], ...nextHops] = splitNextHops(rest);
  return {
    type,
    destination: readDestination(to),
    ...readOptions(own),
    nextHops,
  };
}

function splitNextHops(words: readonly string[]): string[][] {
  const groups: string[][] = [[]];
  for (const word of words) {
    if (word === "nexthop") groups.push([]);
    else groups.at(-1)!.push(word);
  }
  return groups;
}

function readOptions(
  words: readonly string[],
): Pick<RouteWords, "options" | "isOnlink"> {
  const known = ["via", "dev", "proto", "metric", "tos", "src"];
  const pairs = words.filter((word) => word !== "onlink");
  const options = new Map<string, string>();
  for (let i = 0; i < pairs.length; i += 2) {
    const [name, value] = [pairs[i]!, pairs[i + 1]];
    if (!known.includes(name) || value === undefined) {
      throw new Error(`The fake ip does not know a route's "${name}"`);
    }
    options.set(name, value);
  }
  return { options, isOnlink: words.includes("onlink") };
}

function readWay(
  options: ReadonlyMap<string, string>,
  isOnlink: boolean,
): FakeWay {
  const gateway = options.get("via");
  return {
    gateway: gateway === undefined ? undefined : parseAddress(gateway),
    device: options.get("dev") ?? "",
    isOnlink,
  };
}

function readDestination(text: string): Prefix {
  if (text.includes("/")) return parsePrefix(text);
  const address = parseAddress(text);
  return prefixOf(address, addressBits(address.family));
}
