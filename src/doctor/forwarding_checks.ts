import type { PathProbe } from "../host/path_probe.ts";
import { type Address, formatAddress } from "../net/address.ts";
import {
  addressAt,
  formatPrefix,
  gatewayOf,
  type Prefix,
  usableRange,
} from "../net/prefix.ts";
import { linkOfGateway } from "../host/plan/host_plan.ts";
import {
  formatKernelRoute,
  isSameAddress,
  type KernelRoute,
} from "../routes/plan/kernel_route.ts";
import type { RouteLookup, RouteMatch } from "../host/plan/probe_output.ts";
import {
  type Check,
  command,
  formatFix,
  passed,
  shell,
} from "../host/checks/check.ts";
import {
  type AstrayPackets,
  findAstrayRule,
} from "../host/plan/policy_rules.ts";
import type { PathFacts } from "./peer_checks.ts";
import { checkRouteStatus, removeForeign } from "./route_checks.ts";

/** Most routes to parts of a subnet that are reported, a line each. */
const MAX_LONGER = 5;

/** The facts that the check of a peer's routes needs. */
export interface WayFacts extends PathFacts {
  /** Name of the peer's node. */
  readonly peer: string;
  /** The peer's address. */
  readonly nextHop: Address;
  /** The interface that it is directly connected to; undefined when it is not. */
  readonly device: string | undefined;
}

/** The next hop and interface that packets to a subnet should take. */
interface Way {
  readonly subnet: Prefix;
  readonly gateway: Address;
  readonly device: string;
}

/**
 * Whether our route to a peer's subnet is installed, and whether the kernel
 * uses it: a policy rule or a route to a part of the subnet may take precedence.
 *
 * @throws {NetError} `unavailable` when `ip` is missing or fails
 */
export async function checkWay(
  subnet: Prefix,
  probe: PathProbe,
  facts: WayFacts,
): Promise<Check[]> {
  const { mode } = facts.report;
  const { nextHop, device, protocol } = facts;
  const check = checkStatus(subnet, facts);
  const isOurs = check.status === "ok";
  // With routes off, a route of others may lead there.
  if (device === undefined || (!isOurs && mode !== "off")) return [check];
  const way: Way = { subnet, gateway: nextHop, device };
  const [own, forwarded, longer] = await Promise.all([
    checkOwnPackets(probe, way),
    checkForwarded(probe, way, facts),
    checkLonger(probe, way, protocol),
  ]);
  // In most cases one cause diverts the packets of both.
  const wrong = [...own.length > 0 ? own : forwarded, ...longer];
  const fixes = wrong.map(({ fix }) => formatFix(fix));
  const distinct = wrong.filter((_, at) => fixes.indexOf(fixes[at]!) === at);
  if (isOurs) return [check, ...distinct];
  return distinct.length > 0 ? distinct : [
    passed(
      "route",
      `${formatPrefix(subnet)} leads ${formatWay(way)}, by a route of others`,
    ),
  ];
}

/** The route as the agent saw it last. */
function checkStatus(subnet: Prefix, facts: WayFacts): Check {
  const { report, peer, protocol } = facts;
  const destination = formatPrefix(subnet);
  const status = report.routes.find(({ route }) =>
    route.origin.kind === "node" && route.origin.node === peer &&
    formatPrefix(route.destination) === destination
  );
  if (status) return checkRouteStatus(status, { ...report, protocol });
  return {
    name: "route",
    status: "failed",
    found: `the agent wants no route to ${destination} of node "${peer}"`,
    means: "containers there are not reached as they should be",
    fix:
      'see "registry" in "stellar-net status": this node has not heard of it yet',
  };
}

/** Where this host sends packets of its own. */
async function checkOwnPackets(probe: PathProbe, way: Way): Promise<Check[]> {
  const target = gatewayOf(way.subnet);
  return await compare(probe, await probe.lookUp(target), {
    ...{ way, target, what: formatAddress(target) },
  });
}

/** Where this host sends packets of its containers: rules may name where packets come from. */
async function checkForwarded(
  probe: PathProbe,
  way: Way,
  { subnets, interfaces }: PathFacts,
): Promise<Check[]> {
  const target = gatewayOf(way.subnet);
  const checks = subnets.filter(({ family }) => family === target.family)
    .map(async (subnet) => {
      const link = linkOfGateway(interfaces?.links ?? [], subnet);
      if (!link) return [];
      const source = addressAt(subnet, usableRange(subnet).first);
      const lookup = await probe.lookUp(target, { source, device: link.name });
      const what = `${formatAddress(target)} from containers on "${link.name}"`;
      return await compare(probe, lookup, { way, target, source, what });
    });
  return (await Promise.all(checks)).flat();
}

/** The routes of others to parts of the subnet that lead elsewhere. */
async function checkLonger(
  probe: PathProbe,
  way: Way,
  protocol: number,
): Promise<Check[]> {
  const foreign = (await probe.routesWithin(way.subnet)).filter((route) =>
    route.destination.length > way.subnet.length &&
    route.protocol !== protocol && !leads(route, way)
  );
  const more = foreign.length - MAX_LONGER;
  return foreign.slice(0, MAX_LONGER).map((route, at): Check => ({
    name: "route",
    status: "failed",
    found: `${formatKernelRoute(route)} takes a part of ${
      formatPrefix(way.subnet)
    } elsewhere${
      more > 0 && at === MAX_LONGER - 1 ? `, and so do ${more} more` : ""
    }`,
    means: "containers with addresses in that part are not reached",
    fix: removeForeign(route),
  }));
}

function leads({ nextHops }: KernelRoute, { gateway, device }: Way): boolean {
  const [hop, ...more] = nextHops;
  return more.length === 0 && hop?.device === device &&
    isSameAddress(hop.gateway, gateway);
}

/** The packets that were looked up. */
interface LookedUp {
  readonly way: Way;
  readonly target: Address;
  /** Undefined for packets of this host. */
  readonly source?: Address;
  /** Names the packets, for people. */
  readonly what: string;
}

async function compare(
  probe: PathProbe,
  lookup: RouteLookup,
  { way, target, source, what }: LookedUp,
): Promise<Check[]> {
  const { gateway, device, subnet } = way;
  const packets = { target, source };
  const failed = (found: string, fix: Check["fix"]): Check[] => [{
    name: "route",
    status: "failed",
    found,
    means: "containers there are not reached as they should be",
    fix,
  }];
  if (lookup.kind === "none") {
    return failed(
      `packets to ${what} go nowhere: ${lookup.why}`,
      await deleteRule(probe, { ...packets, table: undefined }),
    );
  }
  const isRight = lookup.device === device && !lookup.isLocal &&
    isSameAddress(lookup.gateway, gateway);
  if (isRight) return [];
  const taken = lookup.isLocal
    ? "stay on this host"
    : `leave ${formatWay(lookup)}`;
  const table = lookup.match?.table;
  const { reason, fix } = explain(lookup.match, way);
  return failed(
    `packets to ${what} ${taken}, not ${formatWay({ gateway, device })}: ${
      reason ?? `${formatPrefix(subnet)} does not decide`
    }`,
    fix ?? await deleteRule(probe, { ...packets, table }),
  );
}

/** The command that deletes the policy rule that leads packets astray, or the step that finds it. */
async function deleteRule(
  probe: PathProbe,
  packets: AstrayPackets,
): Promise<Check["fix"]> {
  const { family } = packets.target;
  const rule = findAstrayRule(await probe.rules(family), packets);
  if (rule) {
    const ip = family === 6 ? ["ip", "-6"] : ["ip"];
    return command(
      shell`${ip} rule delete preference ${rule.preference}`,
      "whoever added that rule loses it",
    );
  }
  const { table } = packets;
  return table === undefined
    ? "find the rule or the route with ip rule show and ip route show, and delete it"
    : `find the rule with ip rule show, or the route with ip route show table ${table}, and delete it`;
}

/** Why the kernel goes by another route. No fix: by a policy rule. */
function explain(
  match: RouteMatch | undefined,
  { subnet, gateway, device }: Way,
): { readonly reason?: string; readonly fix?: Check["fix"] } {
  if (!match) return {};
  const { route, table } = match;
  const text = formatKernelRoute(route);
  if (table !== undefined) {
    return {
      reason: `a policy rule leads to table ${table}, which has ${text}`,
    };
  }
  const { length } = route.destination;
  if (length < subnet.length) {
    return {
      reason: `there is no route but ${text}`,
      fix: command(
        shell`ip route add ${formatPrefix(subnet)} via ${
          formatAddress(gateway)
        } dev ${device}`,
      ),
    };
  }
  return {
    reason: length > subnet.length
      ? `${text} is for a part of it alone, and wins`
      : `${text} wins`,
    fix: removeForeign(route),
  };
}

function formatWay(
  { gateway, device }: {
    readonly gateway: Address | undefined;
    readonly device: string;
  },
): string {
  return gateway
    ? `via ${formatAddress(gateway)} on "${device}"`
    : `directly on "${device}"`;
}
