import { type Address, formatAddress } from "../../net/address.ts";
import { formatPrefix, type Prefix } from "../../net/prefix.ts";
import { nextHopBlock, specialBlockOf } from "../../net/special.ts";
import { refuse } from "../../base/plan.ts";
import { type ClusterPlan, planned } from "./subnet_plan.ts";
import type { ClusterState, RouteRecord } from "./cluster_state.ts";

/** Plans an extra route. The same route again succeeds and stays as it is. */
export function planAddRoute(
  state: ClusterState,
  route: { readonly destination: Prefix; readonly target: Address },
  nowMs: number,
): ClusterPlan<RouteRecord> {
  const { destination, target } = route;
  const text = formatPrefix(destination);
  if (destination.family !== target.family) {
    return refuse(
      "invalid_argument",
      `Cannot add the route "${text}": its target "${
        formatAddress(target)
      }" is not an IPv${destination.family} address`,
    );
  }
  const special = specialBlockOf(destination) ?? nextHopBlock(target);
  if (special) {
    return refuse(
      "invalid_argument",
      `Cannot add the route "${text}" with the target "${
        formatAddress(target)
      }": ${formatPrefix(special.prefix)} (${special.name}) cannot be routed`,
    );
  }
  const existing = state.routes.get(text);
  if (!existing) {
    const record = { destination, target, addedAtMs: nowMs };
    return planned(record, [{ kind: "route", destination, record }]);
  }
  return formatAddress(existing.target) === formatAddress(target)
    ? planned(existing, [])
    : refuse(
      "already_exists",
      `route exists in configuration: "${text}" has the target "${
        formatAddress(existing.target)
      }"; delete it first`,
    );
}

/** Plans the removal of an extra route. @returns whether there is one */
export function planDeleteRoute(
  state: ClusterState,
  route: { readonly destination: Prefix; readonly target: Address | undefined },
): ClusterPlan<boolean> {
  const { destination, target } = route;
  const existing = state.routes.get(formatPrefix(destination));
  if (!existing) return planned(false, []);
  const has = formatAddress(existing.target);
  return target && formatAddress(target) !== has
    ? refuse(
      "failed_precondition",
      `Cannot delete the route "${formatPrefix(destination)}" by "${
        formatAddress(target)
      }": its target is "${has}"`,
    )
    : planned(true, [{ kind: "route", destination, record: undefined }]);
}
