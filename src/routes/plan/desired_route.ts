import { type Address, type Family, formatAddress } from "../../net/address.ts";
import { type Carve, sliceIndex } from "../../net/carve.ts";
import {
  comparePrefixes,
  containsAddress,
  formatPrefix,
  lastAddress,
  nextHopBlock,
  overlappedBlock,
  type Prefix,
  prefixOf,
} from "../../net/prefix.ts";
import type { KernelLink, KernelState } from "./kernel_route.ts";

/** The origin of a desired route: another node's subnet, or an operator. */
export type RouteOrigin =
  | { readonly kind: "node"; readonly node: string }
  | { readonly kind: "extra" };

/** A route that this host should have. */
export interface DesiredRoute {
  readonly destination: Prefix;
  /** Of the family of the destination. */
  readonly nextHop: Address;
  readonly origin: RouteOrigin;
}

/** Names a desired route for people, such as `172.16.4.0/22 via 192.0.2.2 (node "b")`. */
export function formatDesiredRoute(route: DesiredRoute): string {
  const { destination, nextHop, origin } = route;
  return `${formatPrefix(destination)} via ${formatAddress(nextHop)} (${
    origin.kind === "node" ? `node "${origin.node}"` : "extra route"
  })`;
}

/** The facts that decide which routes this host installs, whoever sent them. */
export interface RoutePolicy {
  /** The cluster's networks. */
  readonly networks: readonly Carve[];
  /** The addresses of the registry's hosts. */
  readonly registries: readonly Address[];
}

/** An address that no route may cover, and its meaning. */
interface Protected {
  readonly address: Address;
  readonly what: string;
}

/**
 * Decides which routes this host refuses to install. The registry decides which
 * routes there are; this protects the host from a registry that is compromised:
 * a node's route is a slice of a network, and no route takes over this host's
 * own prefixes or its paths to the other hosts.
 */
export class RouteGuard {
  readonly #networks: readonly Carve[];
  /** The prefixes of this host's interfaces, by length and value. */
  readonly #connected: Record<Family, Map<number, Map<bigint, string>>> = {
    4: new Map(),
    6: new Map(),
  };
  /** In order of address. */
  readonly #protected: Record<Family, readonly Protected[]>;

  constructor(
    policy: RoutePolicy,
    desired: readonly DesiredRoute[],
    kernel: KernelState,
  ) {
    this.#networks = policy.networks;
    for (const { name, addresses } of kernel.links) {
      for (const { prefix } of addresses) {
        const byLength = this.#connected[prefix.family];
        const byValue = byLength.get(prefix.length) ?? new Map();
        byLength.set(prefix.length, byValue.set(prefix.value, name));
      }
    }
    const found = protectedAddresses(policy, desired, kernel);
    const ofFamily = (family: Family) =>
      found.filter(({ address }) => address.family === family)
        .sort((a, b) => a.address.value < b.address.value ? -1 : 1);
    this.#protected = { 4: ofFamily(4), 6: ofFamily(6) };
  }

  /** Why this host does not install a route; undefined for a good one. */
  refusal({ destination, nextHop, origin }: DesiredRoute): string | undefined {
    if (destination.family !== nextHop.family) {
      return `${formatAddress(nextHop)} is of another family`;
    }
    const special = overlappedBlock(destination);
    if (special) {
      return `it covers addresses of ${
        formatPrefix(special.prefix)
      } (${special.name})`;
    }
    const block = nextHopBlock(nextHop);
    if (block) {
      return `${formatAddress(nextHop)} is in ${
        formatPrefix(block.prefix)
      } (${block.name})`;
    }
    const isSlice = this.#networks.some((network) =>
      sliceIndex(network, destination) !== undefined
    );
    if (origin.kind === "node" && !isSlice) {
      return "it is not a subnet of a network of this cluster";
    }
    return this.#connectedReason(destination) ??
      this.#coverReason(destination);
  }

  #connectedReason(destination: Prefix): string | undefined {
    const { family, value } = destination;
    for (const [length, byValue] of this.#connected[family]) {
      if (length > destination.length) continue;
      const prefix = prefixOf({ family, value }, length);
      const device = byValue.get(prefix.value);
      if (device !== undefined) {
        return `it lies in ${
          formatPrefix(prefix)
        }, which "${device}" of this host has`;
      }
    }
    return undefined;
  }

  #coverReason(destination: Prefix): string | undefined {
    const sorted = this.#protected[destination.family];
    let low = 0;
    let high = sorted.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sorted[middle]!.address.value < destination.value) low = middle + 1;
      else high = middle;
    }
    const found = sorted[low];
    if (!found || found.address.value > lastAddress(destination).value) {
      return undefined;
    }
    return `it covers ${formatAddress(found.address)}, ${found.what}`;
  }
}

function protectedAddresses(
  { registries }: RoutePolicy,
  desired: readonly DesiredRoute[],
  { links, routes }: KernelState,
): Protected[] {
  const nextHops = new Map(
    desired.map(({ nextHop }) => [formatAddress(nextHop), nextHop]),
  );
  const defaults = routes.filter(({ destination }) => destination.length === 0)
    .flatMap((route) => route.nextHops);
  const remote: Protected[] = [
    ...registries.map((address) => ({ address, what: "the registry" })),
    ...[...nextHops.values()].map((address) => ({
      address,
      what: "a next hop",
    })),
    ...defaults.flatMap(({ gateway: address }) =>
      address ? [{ address, what: "the default gateway" }] : []
    ),
  ];
  const isUplink = ({ name, addresses }: KernelLink) =>
    defaults.some(({ device }) => device === name) ||
    addresses.some(({ prefix }) =>
      remote.some(({ address }) => containsAddress(prefix, address))
    );
  return [
    ...remote,
    ...links.filter(isUplink).flatMap(({ name, addresses }) =>
      addresses.map(({ address }) => ({
        address,
        what: `an address of "${name}" of this host`,
      }))
    ),
  ];
}

/** The nodes and extra routes of a cluster, as far as routes are concerned. */
export interface RoutedCluster {
  readonly nodes: ReadonlyMap<string, {
    readonly name: string;
    readonly subnets: readonly Prefix[];
    readonly advertised: readonly Address[];
  }>;
  readonly routes: ReadonlyMap<string, {
    readonly destination: Prefix;
    readonly target: Address;
  }>;
}

/** This node with its subnets. */
export interface OwnNode {
  readonly node: string;
  readonly subnets: readonly Prefix[];
}

/**
 * The routes that a host should have: a route to each subnet of each other
 * node, through the address that the node advertises in the subnet's family,
 * then the extra routes, both in order of destination. There is no route to a
 * subnet of this node.
 */
export function desiredRoutes(
  view: RoutedCluster,
  self: OwnNode,
): DesiredRoute[] {
  const own = new Set(self.subnets.map(formatPrefix));
  const nodes = [...view.nodes.values()]
    .filter(({ name }) => name !== self.node)
    .flatMap(({ name, subnets, advertised }) =>
      subnets.flatMap((destination): DesiredRoute[] => {
        const nextHop = advertised.find((a) => a.family === destination.family);
        const origin = { kind: "node", node: name } as const;
        return nextHop ? [{ destination, nextHop, origin }] : [];
      })
    );
  const extra = [...view.routes.values()]
    .map(({ destination, target }): DesiredRoute => ({
      destination,
      nextHop: target,
      origin: { kind: "extra" },
    }));
  return [...nodes.sort(byDestination), ...extra.sort(byDestination)]
    .filter(({ destination }) => !own.has(formatPrefix(destination)));
}

function byDestination(a: DesiredRoute, b: DesiredRoute): number {
  return comparePrefixes(a.destination, b.destination);
}
