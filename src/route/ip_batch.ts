import { type Family, formatAddress } from "../net/address.ts";
import { formatPrefix } from "../net/prefix.ts";
import {
  defaultMetric,
  formatKernelRoute,
  type KernelNextHop,
  type KernelRoute,
} from "./kernel_route.ts";
import type { OwnRoute, RouteOperation } from "./plan.ts";

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

function formatDeletions(route: KernelRoute): string[] {
  const { destination, type, nextHops, protocol } = route;
  const { family } = destination;
  const start = type === "unicast" ? "route del" : `route del ${type}`;
  const end = [
    `proto ${protocol}`,
    ...formatMetric(family, route.metric),
    ...route.tos === "" ? [] : [`tos ${route.tos}`],
  ].join(" ");
  return waysToDelete(route, nextHops).map((way) =>
    [start, formatPrefix(destination), ...way, end].join(" ")
  );
}

/**
 * How to name a route's ways in a deletion. In IPv6 each way of a multipath
 * route has a protocol of its own, and a deletion that names no way takes them
 * all: they go one by one. In IPv4 they are one route.
 */
function waysToDelete(
  { destination, type }: KernelRoute,
  ways: readonly KernelNextHop[],
): string[][] {
  if (type !== "unicast") return [[]];
  if (ways.length > 1 && destination.family === 4) return [[]];
  return ways.map(({ gateway, device }) => [
    ...gateway ? [`via ${formatAddress(gateway)}`] : [],
    ...device === "" ? [] : [`dev ${device}`],
  ]);
}

/** In IPv4 a deletion with metric 0 takes the first route, and 0 comes first. */
function formatMetric(family: Family, metric: number): string[] {
  return metric === 0 && defaultMetric(family) === 0
    ? []
    : [`metric ${metric}`];
}
