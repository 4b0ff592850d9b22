import { type Address, formatAddress } from "../../net/address.ts";
import { formatPrefix, type Prefix } from "../../net/prefix.ts";

/** Where a desired route comes from: another node's subnet, or an operator. */
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
