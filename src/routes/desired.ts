import { comparePrefixes, formatPrefix, type Prefix } from "../net/prefix.ts";
import type { DesiredRoute } from "./plan/desired_route.ts";
import type { ClusterView } from "../registry/view.ts";

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
  view: Pick<ClusterView, "nodes" | "routes">,
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
