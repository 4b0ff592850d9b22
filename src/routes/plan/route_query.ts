import type { Family } from "../../net/address.ts";
import { formatPrefix, type Prefix } from "../../net/prefix.ts";
import { parseKernelRoutes } from "./ip_json.ts";
import { formatKernelRoute, type KernelRoute } from "./kernel_route.ts";

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
