import { comparePrefixes, formatPrefix, type Prefix } from "../net/prefix.ts";
import type { DesiredRoute } from "./plan/route_plan.ts";
import type { ClusterView } from "../registry/view.ts";

/** A node, and the subnets that it has. */
export interface OwnNode {
  readonly node: string;
  readonly subnets: readonly Prefix[];
}

/**
 * The routes that a host should have: to each other node's subnets through the
 * address that it advertises in their family, then the extra routes. Both in
 * order of destination. What leads to a subnet of its own is left out.
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
