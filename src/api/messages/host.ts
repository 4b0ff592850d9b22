import type { MessageInitShape } from "@bufbuild/protobuf";
import { StringValueSchema, timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { RouteMode } from "../../config/config.ts";
import {
  type CheckSchema,
  CheckStatus,
  type HostRouteCountsSchema,
  type HostRouteSchema,
  HostRouteState,
  type ListHostRoutesResponseSchema,
  type RegistryLinkSchema,
  RegistryLinkState,
  RouteMode as RouteModeMessage,
} from "../../gen/stellar/net/v1/agent_pb.ts";
import type { Check } from "../../host/checks/check.ts";
import type { RegistryLink } from "../../member/link.ts";
import { formatAddress } from "../../net/address.ts";
import { formatPrefix } from "../../net/prefix.ts";
import { formatCommands } from "../../routes/plan/ip_batch.ts";
import { formatKernelRoute } from "../../routes/plan/kernel_route.ts";
import {
  explainRoute,
  type RouteState,
  type RouteStatus,
} from "../../routes/plan/route_plan.ts";
import { fill, MAX_PAGE_BYTES } from "./pages.ts";
import type { RouteReport } from "../../routes/report.ts";

const MODES: Readonly<Record<RouteMode, RouteModeMessage>> = {
  apply: RouteModeMessage.APPLY,
  plan: RouteModeMessage.PLAN,
  off: RouteModeMessage.OFF,
};

const ROUTE_STATES: Readonly<Record<RouteState["kind"], HostRouteState>> = {
  installed: HostRouteState.INSTALLED,
  pending: HostRouteState.PENDING,
  conflict: HostRouteState.CONFLICT,
  local: HostRouteState.NOT_NEEDED,
  duplicate: HostRouteState.NOT_NEEDED,
  "link down": HostRouteState.WAITING,
  "off link": HostRouteState.WAITING,
  refused: HostRouteState.FAILED,
  failed: HostRouteState.FAILED,
  unknown: HostRouteState.UNKNOWN,
};

const LINK_STATES: Readonly<Record<RegistryLink["state"], RegistryLinkState>> =
  {
    hosted: RegistryLinkState.HOSTED,
    joined: RegistryLinkState.JOINED,
    unreachable: RegistryLinkState.UNREACHABLE,
    fenced: RegistryLinkState.FENCED,
    left: RegistryLinkState.LEFT,
  };

const CHECK_STATUSES: Readonly<Record<Check["status"], CheckStatus>> = {
  ok: CheckStatus.OK,
  warning: CheckStatus.WARNING,
  failed: CheckStatus.FAILED,
};

/** The message of the link to the registry. */
export function linkMessage(
  link: RegistryLink,
  revision: number,
): MessageInitShape<typeof RegistryLinkSchema> {
  return {
    state: LINK_STATES[link.state],
    since: timestampFromMs(link.sinceMs),
    problem: link.problem,
    url: link.url,
    urls: [...link.urls],
    revision: BigInt(revision),
  };
}

/** The message of the number of routes in each state. */
export function routeCountsMessage(
  { mode, counts, repaired, error }: RouteReport,
): MessageInitShape<typeof HostRouteCountsSchema> {
  return {
    mode: MODES[mode],
    ...counts,
    repaired: BigInt(repaired.count),
    error: error ?? "",
  };
}

/** The remaining changes of a host's routes, as commands for a shell; as many as fit into half of an answer. */
export function hostRouteCommands({ operations }: RouteReport): string[] {
  const commands = operations.flatMap(formatCommands)
    .map((value) => ({ value }));
  const options = {
    schema: StringValueSchema,
    message: (command: { value: string }) => command,
  };
  return fill(commands, options, MAX_PAGE_BYTES / 4)
    .map(({ value = "" }) => value);
}

/** Names a route of a host. */
export function hostRouteKey({ route }: RouteStatus): string {
  const { destination, nextHop } = route;
  return `${formatPrefix(destination)} ${formatAddress(nextHop)}`;
}

/** The message of the routes that a host should have, without the routes themselves. */
export function hostRoutesMessage(
  report: RouteReport,
): Omit<
  MessageInitShape<typeof ListHostRoutesResponseSchema>,
  "$typeName" | "$unknown" | "routes" | "commands"
> {
  const { mode, readAtMs, error } = report;
  return {
    mode: MODES[mode],
    ...readAtMs !== undefined && { lookedAt: timestampFromMs(readAtMs) },
    error: error ?? "",
  };
}

export function checkMessage(
  check: Check,
): MessageInitShape<typeof CheckSchema> {
  const { fix, status, ...rest } = check;
  return {
    ...rest,
    status: CHECK_STATUSES[status],
    mend: typeof fix === "string" ? fix : fix.command,
    ...typeof fix !== "string" && {
      command: fix.command,
      harm: fix.harm ?? "",
    },
  };
}

/** The message of a route that a host should have. */
export function hostRouteMessage(
  status: RouteStatus,
): MessageInitShape<typeof HostRouteSchema> {
  const { route, state, actual } = status;
  const { destination, nextHop, origin } = route;
  return {
    cidr: formatPrefix(destination),
    target: formatAddress(nextHop),
    node: origin.kind === "node" ? origin.node : "",
    state: ROUTE_STATES[state.kind],
    why: explainRoute(status),
    actual: actual.map(formatKernelRoute),
  };
}
