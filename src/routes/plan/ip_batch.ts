import { type Family, formatAddress } from "../../net/address.ts";
import { formatPrefix, type Prefix } from "../../net/prefix.ts";
import {
  formatKernelRoute,
  type KernelNextHop,
  type KernelRoute,
} from "./kernel_route.ts";
import { metricOf, type OwnRoute, type RouteOperation } from "./route_plan.ts";
import { parseKernelRoutes } from "./ip_json.ts";

/**
 * Formats an operation as lines for `ip -batch` (ip(8)), in order.
 *
 * Never `replace` or `append`, which change or join any route: `add` fails if
 * a route has the same place, and `del` names our protocol, so that the kernel
 * itself protects the routes of others. A route with another next hop is first
 * added with a spare metric, so that packets always have a route.
 */
export function formatBatchLines(operation: RouteOperation): string[] {
  switch (operation.kind) {
    case "add":
      return [formatAdd(operation.route)];
    case "replace": {
      const { route, previous, spareMetric } = operation;
      return [
        formatAdd(route, spareMetric),
        ...previous.flatMap(formatDeletions),
        formatAdd(route),
        formatDeletion(route, `metric ${spareMetric}`),
      ];
    }
    case "delete":
      return formatDeletions(operation.route);
  }
}

/** Formats an operation as commands for a shell. */
export function formatCommands(operation: RouteOperation): string[] {
  const { family } = operation.route.destination;
  return formatBatchLines(operation).map((line) =>
    `${family === 4 ? "ip" : "ip -6"} ${line}`
  );
}

/** Describes an operation in one line for people. */
export function describeOperation(operation: RouteOperation): string {
  switch (operation.kind) {
    case "add":
      return `add ${formatOwnRoute(operation.route)}`;
    case "replace":
      return `lead ${formatOwnRoute(operation.route)} (was ${
        operation.previous.map(formatKernelRoute).join(", ")
      })`;
    case "delete":
      return `remove ${
        formatKernelRoute(operation.route)
      } (${operation.cause})`;
  }
}

export interface BatchFailures {
  /** The errors by line number, from 1 on. */
  readonly lines: ReadonlyMap<number, string>;
  /** An error without a line number: `ip` may have stopped. Empty for none. */
  readonly rest: string;
}

/** Reads the error output of `ip -force -batch -`. */
export function parseBatchFailures(stderr: string): BatchFailures {
  const lines = new Map<number, string>();
  let said: string[] = [];
  for (const text of stderr.split("\n")) {
    const failed = /^Command failed -:(\d+)$/.exec(text);
    if (failed) {
      lines.set(Number(failed[1]), said.join("; ") || "it failed");
      said = [];
    } else if (text.trim() !== "") said.push(text.trim());
  }
  return { lines, rest: said.join("; ") };
}

function formatOwnRoute({ destination, via }: OwnRoute): string {
  const text = formatPrefix(destination);
  return via
    ? `${text} via ${formatAddress(via.gateway)} dev ${via.device}`
    : `unreachable ${text}`;
}

function formatAdd(
  route: OwnRoute,
  metric = route.via ? undefined : metricOf(route),
): string {
  return `route add ${formatOwnRoute(route)} proto ${route.protocol}${
    metric === undefined ? "" : ` metric ${metric}`
  }`;
}

function formatDeletion(route: OwnRoute, metric: string): string {
  return `route del ${formatOwnRoute(route)} proto ${route.protocol} ${metric}`;
}

/**
 * In IPv6 a deletion without a gateway deletes all next hops of a multipath,
 * also those of others, whatever its type and protocol; with `nexthop` it
 * deletes one. In IPv4 a multipath is one route.
 */
function formatDeletions(route: KernelRoute): string[] {
  const { destination, type, nextHops, metric, tos } = route;
  const start = `route del ${
    destination.family === 4 && type !== "unicast" ? `${type} ` : ""
  }${formatPrefix(destination)}`;
  const end = [
    `proto ${route.protocol}`,
    // In IPv4 a deletion without a metric deletes the first route, and 0 comes first.
    ...destination.family === 4 && metric === 0 ? [] : [`metric ${metric}`],
    ...tos === "" ? [] : [`tos ${tos}`],
  ].join(" ");
  if (destination.family === 4) {
    const way = nextHops.length === 1 ? formatWay(nextHops[0]!) : "";
    return [[start, way, end].filter((part) => part !== "").join(" ")];
  }
  return nextHops.map((way) =>
    way.gateway
      ? `${start} ${formatWay(way)} ${end}`
      : `${start} ${end} nexthop ${formatWay(way)}`
  );
}

function formatWay({ gateway, device }: KernelNextHop): string {
  return [
    ...gateway ? [`via ${formatAddress(gateway)}`] : [],
    ...device === "" ? [] : [`dev ${device}`],
  ].join(" ");
}

/**
 * The routes that decide anything here. Directly connected routes and default
 * routes always belong to them. A host may have a full BGP table besides.
 */
export interface RouteQuery {
  /** The protocol number of our own routes, which all belong to it. */
  readonly protocol: number;
  /** All routes inside these prefixes. */
  readonly within: readonly Prefix[];
  /** All routes to exactly these destinations. */
  readonly exact: readonly Prefix[];
}

/** A line for `ip -batch`, and the protocol of its routes: `ip` leaves out what it was asked for. */
export interface QueryLine {
  readonly line: string;
  readonly protocol?: number;
}

/**
 * Protocols of routes that connect IPv6 prefixes: kernel, boot, static, ra and
 * dhcp. IPv6 has no scope to ask for, and a routing daemon connects nothing.
 */
const CONNECTING = [2, 3, 4, 9, 16];

/** The lines that ask for the routes of one family. */
export function queryLines(
  { protocol, within, exact }: RouteQuery,
  family: Family,
): QueryLine[] {
  const ofFamily = (prefixes: readonly Prefix[]) =>
    prefixes.filter((prefix) => prefix.family === family);
  const networks = ofFamily(within);
  const protocols = family === 4 ? [protocol] : [protocol, ...CONNECTING];
  return [
    ...networks.map((network) => `root ${formatPrefix(network)}`),
    ...ofFamily(exact).map((prefix) => `exact ${formatPrefix(prefix)}`),
    "exact default",
    ...family === 4 ? ["scope link"] : [],
  ].map((words): QueryLine => ({ line: `route show ${words}` })).concat(
    protocols.map((number) => ({
      line: `route show proto ${number}`,
      protocol: number,
    })),
  );
}

/**
 * The routes in the answers to the lines of a query, each once.
 *
 * @param answers a line each
 * @throws {SyntaxError} when they are no such answers
 */
export function parseAnswers(
  lines: readonly QueryLine[],
  answers: readonly string[],
): KernelRoute[] {
  if (lines.length !== answers.length) {
    throw new SyntaxError(
      `ip printed ${answers.length} lines in place of ${lines.length}`,
    );
  }
  const routes = new Map<string, KernelRoute>();
  for (const [index, answer] of answers.entries()) {
    const { protocol } = lines[index]!;
    for (const parsed of parseKernelRoutes(answer)) {
      const route = protocol === undefined ? parsed : { ...parsed, protocol };
      const key = formatKernelRoute(route);
      if (!routes.has(key)) routes.set(key, route);
    }
  }
  return [...routes.values()];
}
