import {
  type Address,
  type Family,
  formatAddress,
} from "../../src/net/address.ts";
import {
  containsAddress,
  formatPrefix,
  type InterfaceAddress,
  lastAddress,
} from "../../src/net/prefix.ts";
import { isSameAddress } from "../../src/routes/plan/kernel_route.ts";
import {
  type FakeRoute,
  type FakeRouteMatch,
  FakeRouteTable,
  type FakeWay,
  isMultipath,
  KernelRefusal,
} from "./fake_route_table.ts";

/** An interface: one end of a pair. */
export interface FakeLink {
  readonly name: string;
  readonly peer: string;
  isUp: boolean;
  addresses: InterfaceAddress[];
}

/** Name of the interface that every kernel has. */
export const LOOPBACK = "lo";
const PROTOCOL_KERNEL = 2;
const CONNECTED_METRIC: Readonly<Record<Family, number>> = { 4: 0, 6: 256 };

/**
 * The part of a kernel that routes are about: interfaces, addresses and main
 * tables. It does what Linux was seen to do, and refuses what it refuses.
 */
export class FakeKernel {
  readonly links = new Map<string, FakeLink>();
  readonly tables: Readonly<Record<Family, FakeRouteTable>> = {
    4: new FakeRouteTable(),
    6: new FakeRouteTable(),
  };
  /** Takes what `ip monitor` would print. */
  onEvent: (text: string) => void = () => {};

  addLink(name: string, peer: string): void {
    for (const [one, other] of [[name, peer], [peer, name]] as const) {
      if (this.links.has(one)) {
        throw new KernelRefusal("RTNETLINK answers: File exists");
      }
      this.links.set(one, {
        name: one,
        peer: other,
        isUp: false,
        addresses: [],
      });
      this.onEvent(`[LINK]1: ${one}: <BROADCAST>`);
    }
  }

  /** Whether an interface is up and sees its other end. */
  hasCarrier(device: string): boolean {
    if (device === LOOPBACK) return true;
    const link = this.links.get(device);
    return link?.isUp === true && this.links.get(link.peer)?.isUp === true;
  }

  setLink(name: string, isUp: boolean): void {
    const link = this.#link(name);
    if (link.isUp === isUp) return;
    link.isUp = isUp;
    if (isUp) { for (const held of link.addresses) this.#connect(link, held); }
    else {
      // IPv4 routes go without a word, IPv6 addresses go with their link.
      this.tables[4].remove((route) => leadsThrough(route, name));
      const gone = this.tables[6].remove((route) => leadsThrough(route, name));
      for (const route of gone) {
        this.#announce("Deleted ", route);
      }
      link.addresses = link.addresses.filter(({ address }) =>
        address.family === 4
      );
    }
    this.onEvent(`[LINK]1: ${name}: <BROADCAST>`);
  }

  addAddress(name: string, held: InterfaceAddress): void {
    const link = this.#link(name);
    if (
      link.addresses.some((other) => isSameAddress(other.address, held.address))
    ) {
      throw new KernelRefusal("RTNETLINK answers: File exists");
    }
    if (
      link.addresses.some(({ prefix }) =>
        formatPrefix(prefix) === formatPrefix(held.prefix)
      )
    ) {
      throw new Error("The fake kernel knows no secondary addresses");
    }
    link.addresses.push(held);
    if (link.isUp) this.#connect(link, held);
    this.onEvent(`[ADDR]1: ${name}    inet`);
  }

  removeAddress(name: string, held: InterfaceAddress): void {
    const link = this.#link(name);
    const { family } = held.address;
    const rest = link.addresses.filter((other) =>
      !isSameAddress(other.address, held.address)
    );
    if (rest.length === link.addresses.length) {
      throw new KernelRefusal(
        "RTNETLINK answers: Cannot assign requested address",
      );
    }
    link.addresses = rest;
    const isLast = !rest.some(({ address }) => address.family === family);
    this.tables[family].remove((route) =>
      leadsThrough(route, name) &&
      // The last IPv4 address takes all routes of its interface with it.
      (isLast && family === 4 || isConnectedBy(route, held))
    );
    this.onEvent(`[ADDR]Deleted 1: ${name}    inet`);
  }

  addRoute(route: FakeRoute, how: "add" | "append" | "replace"): void {
    const { family } = route.destination;
    if (family === 6 && route.tos !== "") {
      throw new KernelRefusal("RTNETLINK answers: Invalid argument");
    }
    const ways = route.ways.map((way) => this.#checkWay(route, way));
    // IPv6 keeps each way as a route of its own.
    const routes: FakeRoute[] = family === 6 && ways.length > 0
      ? ways.map((way) => ({ ...route, ways: [way] }))
      : [{ ...route, ways }];
    const table = this.tables[family];
    try {
      for (const [index, each] of routes.entries()) {
        if (index > 0) table.append(each);
        else table[how](each);
      }
    } catch (error) {
      // A multipath comes as a whole or not at all.
      table.remove((other) => routes.slice(0, -1).includes(other));
      throw error;
    }
    this.#announce("", route);
  }

  deleteRoute(match: FakeRouteMatch): void {
    const route = this.tables[match.destination.family].delete(match);
    this.#announce("Deleted ", route);
  }

  flushRoutes(family: Family, protocol: number): void {
    const gone = this.tables[family].remove((route) =>
      route.protocol === protocol
    );
    for (const route of gone) {
      this.#announce("Deleted ", route);
    }
  }

  /** Announces a route as `ip -o -N monitor label` does. */
  #announce(verb: "" | "Deleted ", { destination, protocol }: FakeRoute): void {
    const text = formatPrefix(destination);
    this.onEvent(`[ROUTE]${verb}${text} dev x proto ${protocol}`);
  }

  #link(name: string): FakeLink {
    const link = this.links.get(name);
    if (!link) throw new KernelRefusal(`Cannot find device "${name}"`);
    return link;
  }

  #connect({ name }: FakeLink, { address, prefix }: InterfaceAddress): void {
    const { family } = prefix;
    this.tables[family].append({
      destination: prefix,
      type: "unicast",
      protocol: PROTOCOL_KERNEL,
      metric: CONNECTED_METRIC[family],
      tos: "",
      source: family === 4 ? formatAddress(address) : "",
      ways: [{ gateway: undefined, device: name, isOnlink: false }],
    });
  }

  /** Resolves a way of a new route as the kernel does (fib_check_nh, ip6_route_check_nh). */
  #checkWay({ type, destination }: FakeRoute, way: FakeWay): FakeWay {
    if (type !== "unicast") return way;
    const { gateway, device, isOnlink } = way;
    const isUp = device === "" || this.#link(device).isUp;
    if (!gateway || isOnlink) {
      if (!isUp) throw new KernelRefusal("Error: Nexthop device is not up.");
      return way;
    }
    const isOwn = [...this.links.values()].some(({ addresses }) =>
      addresses.some(({ address }) => isSameAddress(address, gateway))
    );
    if (destination.family === 6 && isOwn) {
      throw new KernelRefusal("Error: Gateway can not be a local address.");
    }
    const link = this.tables[gateway.family]
      .filter((route) => reaches(route, gateway, device))
      .sort((a, b) => b.destination.length - a.destination.length)[0];
    const isBroadcast = gateway.family === 4 && link !== undefined &&
      lastAddress(link.destination).value === gateway.value;
    if (!link || isBroadcast) {
      throw new KernelRefusal(
        gateway.family === 4
          ? "Error: Nexthop has invalid gateway."
          : "RTNETLINK answers: No route to host",
      );
    }
    return { ...way, device: link.ways[0]!.device };
  }
}

/** Whether a route makes a gateway directly reachable, through a device if one is named. */
function reaches(
  { type, destination, ways }: FakeRoute,
  gateway: Address,
  device: string,
): boolean {
  const [way] = ways;
  return type === "unicast" && way !== undefined && !way.gateway &&
    (device === "" || way.device === device) &&
    containsAddress(destination, gateway);
}

function leadsThrough({ ways }: FakeRoute, device: string): boolean {
  return ways.some((way) => way.device === device);
}

function isConnectedBy(
  route: FakeRoute,
  { address, prefix }: InterfaceAddress,
): boolean {
  return route.protocol === PROTOCOL_KERNEL && !isMultipath(route) &&
    formatPrefix(route.destination) === formatPrefix(prefix) &&
    (prefix.family === 6 || route.source === formatAddress(address));
}
