import type { Call, CommandSpec } from "../framework/call.ts";
import type { GetStatusResponse, RegistryLink } from "../framework/client.ts";
import { CLIENT_FLAGS } from "../framework/target.ts";
import { formatSpan } from "../../base/duration.ts";
import { formatPercent } from "../../base/share.ts";
import {
  formatColumns,
  formatFull,
  formatTable,
  formatUtc,
} from "../framework/text.ts";
import { type View, viewOf } from "../framework/view.ts";

/** The status as `--json` prints it. Null: there is none, or the agent does not say. */
type StatusView = ReturnType<typeof viewStatus>;

export const STATUS: CommandSpec = {
  name: "status",
  summary: "Show the state of the agent on one screen",
  action: "show the status",
  flags: CLIENT_FLAGS,
  examples: ["stellar-net status", "stellar-net status --json"],
  run: async (call) => {
    const status = viewStatus(await call.clients().agent.getStatus({}));
    const nowMs = status.now ? Date.parse(status.now) : call.io.now();
    call.answer({ ...status }, formatStatus(status, nowMs));
    noteVersion(call, status);
  },
};

/** Adds the free addresses: as text, because they may not fit a double. */
function viewStatus(message: GetStatusResponse) {
  const view = viewOf(message);
  const subnets = view.subnets.map((subnet) => ({
    ...subnet,
    free: String(
      BigInt(subnet.capacity) - BigInt(subnet.held) - BigInt(subnet.cooling),
    ),
  }));
  return { ...view, subnets };
}

function formatStatus(status: StatusView, nowMs: number): string[] {
  const { listeners, networks, subnets, registry } = status;
  const remarks = status.notes.map((note) => `Note: ${note}`);
  const [listener = "nowhere", ...others] = listeners;
  return [
    ...formatVerdict(status),
    "",
    ...formatColumns([
      ["Node", status.node],
      ["Instance", status.instanceId],
      ["Version", status.version],
      ["Uptime", formatUptime(status, nowMs)],
      ["Cluster", status.clusterId],
      ["Store", status.store],
      ["Listening", listener],
      ...others.map((other) => ["", other]),
      ["Advertised", status.advertised.join(" ") || "nothing"],
      ["Security", formatSecurity(status, nowMs)],
      ["Registry", formatRegistry(registry, nowMs)],
      ["Revision", registry ? String(registry.revision) : "-"],
      ["Nodes", `${status.nodes} with a subnet`],
      ["Peers", formatPeers(status.peers)],
      ["Paths", formatPaths(status)],
      ["Routes", formatRoutes(status.hostRoutes)],
      ...status.hostRoutes?.error ? [["", status.hostRoutes.error]] : [],
      ["Extra", `${status.routes} routes`],
      ["Queue", `${status.queued} releases wait`],
      ["Leaks", `${status.leaked} suspected`],
    ]),
    "",
    ...formatTable(
      ["NETWORK", "SUBNET PREFIX"],
      networks.map(({ cidr, subnetPrefixLength }) => [
        cidr,
        `/${subnetPrefixLength}`,
      ]),
    ),
    "",
    ...subnets.length === 0
      ? [explainNoSubnet(registry)]
      : formatUsage(subnets, nowMs),
    ...remarks.length === 0 ? [] : ["", ...remarks],
  ];
}

/** First whether all is well, then the problems. */
function formatVerdict({ node, problems, warnings }: StatusView): string[] {
  // An agent from before there were problems has warnings only.
  const all = problems.length > 0 ? problems : warnings.map((text) => ({
    severity: "warning",
    text,
    fix: null,
  }));
  if (all.length === 0) return [`OK: node ${node} has no problem`];
  const errors = all.filter(({ severity }) => severity === "error").length;
  return [
    `${count(all.length, "problem")} on node ${node}: ${
      count(errors, "error")
    }, ${count(all.length - errors, "warning")}`,
    ...all.flatMap(({ severity, text, fix }) => [
      `${severity === "error" ? "Error" : "Warning"}: ${text}`,
      ...fix === null ? [] : [`  Fix: ${fix}`],
    ]),
  ];
}

function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? "" : "s"}`;
}

/** The way in which hosts authenticate each other. */
function formatSecurity(status: StatusView, nowMs: number): string {
  const { security, certificateUntil } = status;
  const leftMs = Date.parse(certificateUntil ?? "") - nowMs;
  const until = certificateUntil === null
    ? "this host has none"
    : leftMs > 0
    ? `this host's until ${formatUtc(certificateUntil)}, in ${
      formatSpan(leftMs)
    }`
    : `this host's EXPIRED ${formatUtc(certificateUntil)}, ${
      formatSpan(-leftMs)
    } ago`;
  switch (security) {
    case "cluster":
      return `the cluster's own certificates; ${until}`;
    case "given":
      return `certificates of your own CA; ${until}`;
    case "none":
      return "NONE: hosts speak plain text, and do not authenticate each other (--insecure)";
    default:
      return "-";
  }
}

type LinkView = View<RegistryLink>;

function formatRegistry(link: LinkView | null, nowMs: number): string {
  if (!link) return "-";
  const { state, since, url, urls, problem } = link;
  const why = problem === null ? "" : `: ${problem}`;
  switch (state) {
    case "hosted":
      return "hosted here";
    case "joined":
      return `joined ${url ?? urls.join(" ")} since ${formatUtc(since)}`;
    case "unreachable": {
      const age = since === null
        ? ""
        : ` for ${formatSpan(nowMs - Date.parse(since))}`;
      // An agent that hosts the registry in etcd names that in the cause.
      const at = urls.length === 0 ? "" : ` (${urls.join(" ")})`;
      return `unreachable${age}${at}${why}; running on its last known state`;
    }
    case "fenced":
      return `FENCED since ${formatUtc(since)}${why}; it allocates no address`;
    case "left":
      return `left ${formatUtc(since)}`;
    default:
      return `${state}${why}`;
  }
}

function formatPeers(peers: StatusView["peers"]): string {
  if (!peers) return "-";
  const { ready, unreachable, noAgent } = peers;
  const total = ready + unreachable + noAgent;
  if (total === 0) return "none";
  return `${total}: ${ready} ready, ${unreachable} unreachable` +
    (noAgent === 0 ? "" : `, ${noAgent} without an agent`);
}

/** The numbers of paths by state, and the longest round trip. */
function formatPaths({ probes, paths }: StatusView): string {
  if (!probes) return "not probed";
  const { unmeasured, ...measured } = probes;
  const counts = Object.entries(measured)
    .filter(([state, count]) => count > 0 || state === "alive")
    .map(([state, count]) => `${count} ${state}`);
  const rtts = paths.flatMap(({ rttSeconds }) => rttSeconds ?? []);
  return [
    ...counts,
    ...unmeasured > 0 ? [`${unmeasured} not measured yet`] : [],
  ].join(", ") +
    (rtts.length === 0
      ? ""
      : `; round trips of up to ${(Math.max(...rtts) * 1000).toFixed(1)} ms`);
}

function formatRoutes(routes: StatusView["hostRoutes"]): string {
  if (!routes) return "-";
  const { mode, wanted, installed, conflicts, unresolved, repaired } = routes;
  return mode === "off"
    ? `off: ${wanted} wanted; the agent neither reads nor changes the kernel's`
    : `${mode}: ${wanted} wanted, ${installed} installed, ` +
      `${conflicts} in conflict, ${unresolved} unresolved; ` +
      `${repaired} repaired`;
}

function explainNoSubnet(link: LinkView | null): string {
  switch (link?.state) {
    case "joined":
    case "unreachable":
      return "This node has no subnet yet: it gets one from the registry";
    case "fenced":
      return "This node has no subnet: the registry refuses it";
    case "left":
      return "This node has no subnet: it has left the cluster";
    default:
      return "This node has no subnet yet: it claims one with its first allocation";
  }
}

function formatUsage(
  subnets: StatusView["subnets"],
  nowMs: number,
): string[] {
  const isForecast = subnets.some(({ fullAt }) => fullAt !== null);
  const header = ["SUBNET", "GATEWAY", "CAPACITY", "HELD", "COOLING", "FREE"]
    .concat("USED", ...isForecast ? ["FULL"] : []);
  return formatTable(
    header,
    subnets.map(({ cidr, gateway, capacity, held, cooling, free, fullAt }) => [
      cidr,
      gateway,
      capacity,
      String(held),
      String(cooling),
      free,
      formatPercent(BigInt(held), BigInt(capacity)),
      ...isForecast ? [formatFull(fullAt, nowMs)] : [],
    ]),
  );
}

function formatUptime({ startedAt }: StatusView, nowMs: number): string {
  return startedAt === null
    ? "-"
    : `${formatSpan(nowMs - Date.parse(startedAt))}, since ${
      formatUtc(startedAt)
    }`;
}

function noteVersion(call: Call, status: StatusView): void {
  if (status.version !== call.io.version) {
    call.note(
      `The agent runs version ${status.version}, this program is ${call.io.version}`,
    );
  }
}
