import type { RouteMode } from "../config/config.ts";
import {
  AS_ROOT,
  type Check,
  command,
  passed,
  shell,
} from "../host/checks/check.ts";
import { formatAddress } from "../net/address.ts";
import { formatPrefix } from "../net/prefix.ts";
import {
  formatKernelRoute,
  type KernelRoute,
} from "../routes/plan/kernel_route.ts";
import { formatCommands } from "../routes/plan/ip_batch.ts";
import {
  explainRoute,
  type RouteOperation,
  type RouteStatus,
} from "../routes/plan/route_plan.ts";
import type { RouteReport } from "../routes/report.ts";

/** Number of the protocol of routes that an interface's addresses make (rtnetlink(7)). */
const PROTOCOL_KERNEL = 2;

/** Checks that the desired routes are installed, with a line for each that is missing. */
export function checkRoutes(
  report: RouteReport,
  options: { readonly protocol: number },
): Check[] {
  const { mode, routes, counts, error, readAtMs, operations } = report;
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
    .map((status) => checkRouteStatus(status, { mode, operations, ...options }))
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
  options: {
    readonly mode: RouteMode;
    readonly protocol: number;
    /** The changes that the kernel still lacks. */
    readonly operations: readonly RouteOperation[];
  },
): Check {
  const { route, state } = status;
  const { mode, protocol, operations } = options;
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
          ? command(
            operations.filter((operation) =>
              operation.kind !== "delete" &&
              formatPrefix(operation.route.destination) === destination
            ).flatMap(formatCommands),
          ) || "run the agent with --routes apply"
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
      return check(
        "failed",
        command(shell`ip link set dev ${state.device} up`),
      );
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
          : command(
            shell`stellar-net route delete ${destination} ${nextHop}`,
            "every host loses that route",
          ),
      );
    case "duplicate":
      return check(
        "warning",
        isNode
          ? "see which node has the subnet: stellar-net subnet list"
          : command(
            shell`stellar-net route delete ${destination} ${nextHop}`,
            "every host loses that route",
          ),
      );
    case "failed":
      return check("failed", fixOfError(state.error));
    case "unknown":
      return check(
        "warning",
        mode === "off"
          ? command(shell`ip route add ${destination} via ${nextHop}`)
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
    const source = /(?:^| )src (\S+)/.exec(route.attributes)?.[1];
    return source === undefined
      ? `take the address that makes it off "${device}": ip address show dev ${device}`
      : command(
        shell`ip address delete ${source}/${route.destination.length} dev ${device}`,
        `what uses that address of "${device}" loses it`,
      );
  }
  // Whose protocol is not known by number cannot be named.
  const ip = route.destination.family === 6 ? ["ip", "-6"] : ["ip"];
  return command(
    shell`${ip} route delete ${text.replace(" proto unknown", "").split(" ")}`,
    "whoever added that route loses it",
  );
}

function fixOfError(error: string): string {
  return error.includes("Operation not permitted")
    ? AS_ROOT
    : 'see the commands in "stellar-net route plan"';
}
