import { formatAddress } from "../../net/address.ts";
import { formatPrefix } from "../../net/prefix.ts";
import {
  formatKernelRoute,
  type KernelNextHop,
  type KernelRoute,
} from "./kernel_route.ts";
import type { OwnRoute, RouteOperation } from "./route_plan.ts";

/**
 * Formats an operation as lines for `ip -batch` (ip(8)), to be carried out in
 * order.
 *
 * Never `replace` or `append`, which change or join whatever is there: `add`
 * fails where a route has the place, and `del` names our protocol, so that the
 * kernel itself keeps us from touching anybody else's. A route with another
 * next hop is added with a spare metric first, so that packets always have one.
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

/** Formats an operation as commands that a person can run. */
export function formatCommands(operation: RouteOperation): string[] {
  const { family } = operation.route.destination;
  return formatBatchLines(operation).map((line) =>
    `${family === 4 ? "ip" : "ip -6"} ${line}`
  );
}

/** Describes an operation in a line, for people. */
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

/** What went wrong in a batch: the lines that failed by number, from 1 on, and what `ip` said. */
export interface BatchFailures {
  readonly lines: ReadonlyMap<number, string>;
  /** What was said of no line: then `ip` may have left off. Empty for nothing. */
  readonly rest: string;
}

/** Reads what `ip -force -batch -` wrote to standard error. */
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

function formatOwnRoute({ destination, gateway, device }: OwnRoute): string {
  return `${formatPrefix(destination)} via ${
    formatAddress(gateway)
  } dev ${device}`;
}

function formatAdd(route: OwnRoute, metric?: number): string {
  return `route add ${formatOwnRoute(route)} proto ${route.protocol}${
    metric === undefined ? "" : ` metric ${metric}`
  }`;
}

function formatDeletion(route: OwnRoute, metric: string): string {
  return `route del ${formatOwnRoute(route)} proto ${route.protocol} ${metric}`;
}

/**
 * In IPv6 a deletion that names no gateway takes all ways of a multipath, those
 * of others too, whatever type and protocol it names: only with `nexthop` it
 * takes one. In IPv4 a multipath is one route.
 */
function formatDeletions(route: KernelRoute): string[] {
  const { destination, type, nextHops, metric, tos } = route;
  const start = `route del ${
    destination.family === 4 && type !== "unicast" ? `${type} ` : ""
  }${formatPrefix(destination)}`;
  const end = [
    `proto ${route.protocol}`,
    // In IPv4 no metric means the first route, and 0 comes first.
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
