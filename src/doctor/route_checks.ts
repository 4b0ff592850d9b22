import type { RouteMode } from "../config/config.ts";
import { AS_ROOT, type Check, command, passed } from "../host/checks/check.ts";
import { formatAddress } from "../net/address.ts";
import { formatPrefix } from "../net/prefix.ts";
import {
  formatKernelRoute,
  type KernelRoute,
} from "../routes/plan/kernel_route.ts";
import { explainRoute, type RouteStatus } from "../routes/plan/route_plan.ts";
import type { RouteReport } from "../routes/report.ts";

/** Number of the protocol of routes that an interface's addresses make (rtnetlink(7)). */
const PROTOCOL_KERNEL = 2;

/** Checks that the desired routes are installed, with a line for each that is missing. */
export function checkRoutes(
  report: RouteReport,
  options: { readonly protocol: number },
): Check[] {
  const { mode, routes, counts, error, readAtMs } = report;
  if (mode === "off") {
    return [{
      name: "route",
      status: "warning",
      found: `routes are off on this host: ${counts.wanted} are wanted`,
      means: "containers on other hosts are reached only by routes of others",
      fix:
        "run the agent with --routes apply, or add what other hosts' subnets need by hand",
    }];
  }
  if (readAtMs === undefined && routes.length === 0) {
    return [{
      name: "route",
      status: "warning",
      found: "which routes this host should have is not known yet",
      means: "routes stay as they are",
      fix: 'see "registry" in "stellar-net status"',
    }];
  }
  // If the kernel could not be read, one line says why, not one for each route.
  const wrong = routes.filter(({ state }) => state.kind !== "unknown")
    .map((status) => checkRouteStatus(status, { mode, ...options }))
    .filter(({ status }) => status !== "ok");
  const isTold = routes.some(({ state }) =>
    state.kind === "failed" && error?.startsWith(state.error)
  );
  if (error !== undefined && !isTold) {
    wrong.unshift({
      name: "route",
      status: "failed",
      found: error,
      means: "routes are not as they should be",
      fix: fixOfError(error),
    });
  }
  return wrong.length > 0 ? wrong : [
    passed(
      "route",
      `${counts.installed} of ${counts.wanted} are in the kernel, ${
        routes.length === counts.wanted
          ? "none is missing"
          : `${routes.length - counts.wanted} more are not needed`
      }`,
    ),
  ];
}

/** Checks a desired route by its last known state. */
export function checkRouteStatus(
  status: RouteStatus,
  options: { readonly mode: RouteMode; readonly protocol: number },
): Check {
  const { route, state } = status;
  const { mode, protocol } = options;
  const destination = formatPrefix(route.destination);
  const nextHop = formatAddress(route.nextHop);
  const isNode = route.origin.kind === "node";
  const owner = route.origin.kind === "node"
    ? ` of node "${route.origin.node}"`
    : "";
  const found = `${destination}${owner}: ${explainRoute(status)}`;
  const check = (grade: "warning" | "failed", fix: Check["fix"]): Check => ({
    name: "route",
    status: grade,
    found,
    means: isNode
      ? "containers there are not reached as they should be"
      : "what is behind it is not reached as it should be",
    fix,
  });
  switch (state.kind) {
    case "installed":
      return state.hasCarrier
        ? passed(
          "route",
          `${destination} via ${nextHop} on "${state.device}"${owner} is in the kernel, with our protocol ${protocol}`,
        )
        : check(
          "failed",
          `plug the cable of "${state.device}" in, or switch its other end on`,
        );
    case "pending":
      return check(
        "warning",
        mode === "plan"
          ? 'carry out what "stellar-net route plan" shows, or run the agent with --routes apply'
          : 'look again; if it stays so, see "stellar-net route plan"',
      );
    case "conflict":
      return check("failed", removeForeign(state.foreign));
    case "local":
      return isNode
        ? check(
          "failed",
          `run the agent of that node with --advertise and an address of its own`,
        )
        : passed("route", found);
    case "link down":
      return check("failed", command(`ip link set dev ${state.device} up`));
    case "off link":
      return check(
        "failed",
        isNode
          ? `give this host an address on the link of ${nextHop}, or run that node's agent with --advertise and its address on a link of this host`
          : `give this host an address on its link, or stellar-net route delete ${destination} ${nextHop}`,
      );
    case "refused":
      return check(
        "failed",
        isNode
          ? `see at the registry how "${destination}" came to that node: stellar-net subnet list`
          : command(`stellar-net route delete ${destination} ${nextHop}`),
      );
    case "duplicate":
      return check(
        "warning",
        isNode
          ? "see which node has the subnet: stellar-net subnet list"
          : command(`stellar-net route delete ${destination} ${nextHop}`),
      );
    case "failed":
      return check("failed", fixOfError(state.error));
    case "unknown":
      return check(
        "warning",
        mode === "off"
          ? `run the agent with --routes apply, or ip route add ${destination} via ${nextHop}`
          : fixOfError(state.why),
      );
  }
}

/** The command that removes a conflicting route, or the step that does. */
export function removeForeign(route: KernelRoute): Check["fix"] {
  // Flags such as "linkdown" are for reading alone.
  const text = formatKernelRoute({
    ...route,
    nextHops: route.nextHops.map((way) => ({ ...way, flags: [] })),
  });
  if (route.protocol === PROTOCOL_KERNEL) {
    const device = route.nextHops[0]?.device ?? "";
    return `take the address that makes it off "${device}": ip address show dev ${device}`;
  }
  // Whose protocol is not known by number cannot be named.
  return command(
    `ip${route.destination.family === 6 ? " -6" : ""} route delete ${
      text.replace(" proto unknown", "")
    }`,
    "whoever added that route loses it",
  );
}

function fixOfError(error: string): string {
  return error.includes("Operation not permitted")
    ? AS_ROOT
    : 'see the commands in "stellar-net route plan"';
}
