import type { Call } from "./call.ts";
import { CLIENT_FLAGS } from "./client.ts";
import type { CommandSpec } from "./spec.ts";
import { formatColumns, formatTable } from "./table.ts";
import { formatPercent, formatSpan, formatUtc } from "./text.ts";
import { type StatusView, type UsageView, viewStatus } from "./views.ts";

export const STATUS: CommandSpec = {
  name: "status",
  summary: "Show on one screen how the agent is doing",
  action: "show the status",
  flags: CLIENT_FLAGS,
  examples: ["stellar-net status", "stellar-net status --json"],
  run: async (call) => {
    const status = viewStatus(await call.clients().agent.getStatus({}));
    call.answer({ ...status }, formatStatus(status, call.io.now()));
    noteVersion(call, status);
  },
};

function formatStatus(status: StatusView, nowMs: number): string[] {
  const { listeners, networks, subnets, warnings } = status;
  const [listener = "nowhere", ...others] = listeners;
  return [
    ...formatColumns([
      ["Node", status.node],
      ["Instance", status.instanceId],
      ["Version", status.version],
      ["Uptime", formatUptime(status, nowMs)],
      ["Cluster", status.clusterId],
      ["Store", status.store],
      ["Listening", listener],
      ...others.map((other) => ["", other]),
      ["Nodes", `${status.nodes} with a subnet`],
      ["Routes", `${status.routes} extra`],
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
      ? ["This node has no subnet yet: it claims one with its first allocation"]
      : formatUsage(subnets),
    ...warnings.length === 0
      ? []
      : ["", ...warnings.map((warning) => `Warning: ${warning}`)],
  ];
}

function formatUsage(subnets: readonly UsageView[]): string[] {
  const header = [
    "SUBNET",
    "GATEWAY",
    "CAPACITY",
    "HELD",
    "COOLING",
    "FREE",
    "USED",
  ];
  return formatTable(
    header,
    subnets.map(({ cidr, gateway, capacity, held, cooling, free }) => [
      cidr,
      gateway,
      capacity,
      String(held),
      String(cooling),
      free,
      formatPercent(BigInt(held), BigInt(capacity)),
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
