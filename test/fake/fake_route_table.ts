import { type Address, formatAddress } from "../../src/net/address.ts";
import {
  comparePrefixes,
  formatPrefix,
  type Prefix,
} from "../../src/net/prefix.ts";

/** One way of a route. */
export interface FakeWay {
  readonly gateway: Address | undefined;
  readonly device: string;
  readonly isOnlink: boolean;
}

/**
 * A route of the kernel. In IPv6 each way of a multipath route is one of its
 * own, with its own protocol.
 */
export interface FakeRoute {
  readonly destination: Prefix;
  readonly type: string;
  readonly protocol: number;
  readonly metric: number;
  readonly tos: string;
  readonly source: string;
  readonly ways: readonly FakeWay[];
}

/** What a deletion names; undefined fits everything. */
export interface FakeRouteMatch {
  readonly destination: Prefix;
  readonly type: string | undefined;
  readonly protocol: number | undefined;
  /** 0 fits everything. */
  readonly metric: number;
  readonly tos: string;
  readonly gateway: Address | undefined;
  readonly device: string | undefined;
  /** Whether it names its way behind `nexthop`. */
  readonly isNextHop: boolean;
}

/** What the kernel answers when it refuses. */
export class KernelRefusal extends Error {}

const EXISTS = "RTNETLINK answers: File exists";
const NO_SUCH = "RTNETLINK answers: No such process";

/** The main table of one family, as the kernel keeps it (fib_trie.c, ip6_fib.c). */
export class FakeRouteTable {
  /** By destination; those of one by type of service, metric and age. */
  readonly #routes = new Map<string, FakeRoute[]>();

  /** By destination; those of one in the kernel's order. */
  get routes(): FakeRoute[] {
    return [...this.#routes.values()].sort(([a], [b]) =>
      comparePrefixes(a!.destination, b!.destination)
    ).flat();
  }

  /** The routes that a condition holds for, in no order of destination. */
  filter(condition: (route: FakeRoute) => boolean): FakeRoute[] {
    return [...this.#routes.values()].flatMap((routes) =>
      routes.filter(condition)
    );
  }

  /** Adds a route beside others, unless one has the same destination, type of service and metric. */
  add(route: FakeRoute): void {
    if (this.#slot(route).length > 0) throw new KernelRefusal(EXISTS);
    this.#insert(route);
  }

  /** Adds a route behind those with the same destination and metric; in IPv6 that makes a multipath. */
  append(route: FakeRoute): void {
    if (this.#slot(route).some((other) => isSame(other, route))) {
      throw new KernelRefusal(EXISTS);
    }
    this.#insert(route);
  }

  /** Takes the place of what has the same destination and metric, whoever made it. */
  replace(route: FakeRoute): void {
    const slot = this.#slot(route);
    // IPv4 replaces the first alias, IPv6 all ways of the multipath.
    const gone = route.destination.family === 4 ? slot.slice(0, 1) : slot;
    const here = this.#here(route.destination);
    const at = gone[0] ? here.indexOf(gone[0]) : -1;
    if (at < 0) this.#insert(route);
    else {
      this.#put(
        route.destination,
        here.toSpliced(at, 1, route).filter((other) => !gone.includes(other)),
      );
    }
  }

  /** Deletes the first route that fits. */
  delete(match: FakeRouteMatch): FakeRoute {
    const here = this.#here(match.destination);
    const found = here.find((route) => fits(match, route));
    if (!found) throw new KernelRefusal(NO_SUCH);
    // In IPv6 only a deletion that names a way takes that way alone.
    const isWhole = found.destination.family === 6 && !match.gateway &&
      !match.isNextHop && isMultipath(found);
    const gone = isWhole ? this.#slot(found).filter(isMultipath) : [found];
    this.#put(
      match.destination,
      here.filter((route) => !gone.includes(route)),
    );
    return found;
  }

  /** Removes what a condition holds for, and returns it. */
  remove(condition: (route: FakeRoute) => boolean): FakeRoute[] {
    const gone = this.filter(condition);
    for (const { destination } of gone) {
      this.#put(
        destination,
        this.#here(destination).filter((route) => !condition(route)),
      );
    }
    return gone;
  }

  #here(destination: Prefix): readonly FakeRoute[] {
    return this.#routes.get(formatPrefix(destination)) ?? [];
  }

  #put(destination: Prefix, routes: FakeRoute[]): void {
    if (routes.length > 0) this.#routes.set(formatPrefix(destination), routes);
    else this.#routes.delete(formatPrefix(destination));
  }

  #slot({ destination, metric, tos }: FakeRoute): FakeRoute[] {
    return this.#here(destination).filter((route) =>
      route.metric === metric && route.tos === tos
    );
  }

  #insert(route: FakeRoute): void {
    const here = this.#here(route.destination);
    const isLast = (other: FakeRoute) =>
      Number(other.tos) > Number(route.tos) ||
      other.tos === route.tos && other.metric <= route.metric;
    // IPv6 keeps the ways of a multipath together.
    const isSibling = (other: FakeRoute) =>
      route.destination.family === 6 && other.metric === route.metric &&
      isMultipath(other) && isMultipath(route);
    const sibling = here.findLastIndex(isSibling);
    const at = sibling < 0 ? here.findLastIndex(isLast) : sibling;
    this.#put(route.destination, here.toSpliced(at + 1, 0, route));
  }
}

/** Whether IPv6 makes one multipath of this route and others like it. */
export function isMultipath({ type, ways }: FakeRoute): boolean {
  return type === "unicast" && ways[0]?.gateway !== undefined;
}

function fits(match: FakeRouteMatch, route: FakeRoute): boolean {
  const [way] = route.ways;
  return match.tos === route.tos &&
    // IPv6 does not compare types.
    (route.destination.family === 6 ||
      (match.type ?? route.type) === route.type) &&
    (match.protocol ?? route.protocol) === route.protocol &&
    (match.metric || route.metric) === route.metric &&
    (match.device ?? way?.device) === way?.device &&
    (!match.gateway || formatGateway(match.gateway) ===
        formatGateway(way?.gateway));
}

function isSame(a: FakeRoute, b: FakeRoute): boolean {
  const [left, right] = [a, b].map(({ ways }) => ways.map(formatWay).join());
  // IPv6 compares the ways alone.
  return left === right && (a.destination.family === 6 ||
    a.type === b.type && a.source === b.source && a.protocol === b.protocol &&
      a.ways.every((way, i) => way.isOnlink === b.ways[i]?.isOnlink));
}

function formatWay({ gateway, device }: FakeWay): string {
  return `${formatGateway(gateway)} ${device}`;
}

function formatGateway(gateway: Address | undefined): string {
  return gateway ? formatAddress(gateway) : "";
}
