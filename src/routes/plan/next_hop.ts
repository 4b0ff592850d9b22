import { type Address, type Family, formatAddress } from "../../net/address.ts";
import { containsAddress, formatPrefix, prefixOf } from "../../net/prefix.ts";
import type { KernelRoute, KernelState } from "./kernel_route.ts";

/** Whether this host can send to a next hop, and by which interface. */
export type NextHopState =
  | {
    readonly kind: "on link";
    readonly device: string;
    /** Whether the interface has a carrier. */
    readonly hasCarrier: boolean;
  }
  /** It is an address of this host. */
  | { readonly kind: "local"; readonly device: string }
  /** Its prefix is on an interface that is down. */
  | { readonly kind: "link down"; readonly device: string }
  /** It is in no directly connected prefix. */
  | { readonly kind: "off link"; readonly why: string };

/** Looks up next hops as the kernel does, each once. */
export class NextHopLookup {
  readonly #state: KernelState;
  readonly #local: Record<Family, Map<bigint, string>> = {
    4: new Map(),
    6: new Map(),
  };
  /** The directly connected prefixes by length, the longest first, and value. */
  readonly #connected: Record<Family, Map<number, Map<bigint, KernelRoute>>>;
  readonly #known: Record<Family, Map<bigint, NextHopState>> = {
    4: new Map(),
    6: new Map(),
  };

  /** @param ownProtocol routes of this protocol do not count: the agent may remove them */
  constructor(state: KernelState, ownProtocol: number) {
    this.#state = state;
    for (const { name, addresses } of state.links) {
      for (const { address: { family, value } } of addresses) {
        this.#local[family].set(value, name);
      }
    }
    const connected = state.routes.filter((route) =>
      route.protocol !== ownProtocol && isConnected(route)
    );
    this.#connected = {
      4: groupByLength(connected, 4),
      6: groupByLength(connected, 6),
    };
  }

  find(nextHop: Address): NextHopState {
    const known = this.#known[nextHop.family];
    let state = known.get(nextHop.value);
    if (!state) known.set(nextHop.value, state = this.#find(nextHop));
    return state;
  }

  #find(nextHop: Address): NextHopState {
    const { family, value } = nextHop;
    const holder = this.#local[family].get(value);
    if (holder !== undefined) return { kind: "local", device: holder };
    if (isLinkLocal(nextHop)) {
      return { kind: "off link", why: "a link-local address names no link" };
    }
    for (const [length, routes] of this.#connected[family]) {
      const route = routes.get(prefixOf(nextHop, length).value);
      const way = route?.nextHops[0];
      if (!way) continue;
      return way.flags.includes("dead")
        ? { kind: "link down", device: way.device }
        : {
          kind: "on link",
          device: way.device,
          hasCarrier: !way.flags.includes("linkdown"),
        };
    }
    const down = this.#state.links.find(({ isUp, addresses }) =>
      !isUp && addresses.some(({ prefix }) => containsAddress(prefix, nextHop))
    );
    return down
      ? { kind: "link down", device: down.name }
      : { kind: "off link", why: this.#whyOffLink(nextHop) };
  }

  #whyOffLink(nextHop: Address): string {
    const routes = [...this.#connected[nextHop.family].values()]
      .flatMap((byValue) => [...byValue.values()]);
    const shown = routes.slice(0, 3).map(({ destination, nextHops }) =>
      `${formatPrefix(destination)} on ${nextHops[0]?.device}`
    );
    return `${formatAddress(nextHop)} is on no directly connected prefix; ${
      shown.length === 0
        ? `there is none for IPv${nextHop.family}`
        : `there ${routes.length === 1 ? "is" : "are"} ${shown.join(", ")}${
          routes.length > shown.length
            ? ` and ${routes.length - shown.length} more`
            : ""
        }`
    }`;
  }
}

/**
 * Whether a route connects next hops: the kernel accepts a next hop in the
 * destination of a route without a gateway, but not in a default route.
 */
function isConnected(route: KernelRoute): boolean {
  const [way, ...more] = route.nextHops;
  return route.type === "unicast" && route.tos === "" && more.length === 0 &&
    way !== undefined && way.gateway === undefined &&
    route.destination.length > 0;
}

function groupByLength(
  routes: readonly KernelRoute[],
  family: Family,
): Map<number, Map<bigint, KernelRoute>> {
  const sorted = routes
    .filter(({ destination }) => destination.family === family)
    .sort((a, b) =>
      b.destination.length - a.destination.length || a.metric - b.metric
    );
  const byLength = new Map<number, Map<bigint, KernelRoute>>();
  for (const route of sorted) {
    const { length, value } = route.destination;
    let byValue = byLength.get(length);
    if (!byValue) byLength.set(length, byValue = new Map());
    // The kernel prefers the smallest metric.
    if (!byValue.has(value)) byValue.set(value, route);
  }
  return byLength;
}

function isLinkLocal({ family, value }: Address): boolean {
  return family === 6 && value >> 118n === 0x3fan;
}
