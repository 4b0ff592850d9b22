import { parseNodeName, parseText } from "../../base/names.ts";
import type { Call, CommandSpec, GroupSpec } from "../framework/call.ts";
import { CLIENT_FLAGS } from "../framework/client.ts";
import { parsePrefixText } from "../framework/flags.ts";
import type { Flag, Operand } from "../framework/flag.ts";
import { formatTable } from "../framework/table.ts";
import { formatAge } from "../framework/text.ts";
import { type SubnetView, viewSubnet } from "../framework/views.ts";

const CIDR: Operand<string> = {
  name: "CIDR",
  description: "subnet, such as 172.16.8.0/22",
  parse: parsePrefixText,
};

const NODE: Flag<string> = {
  name: "node",
  value: "NAME",
  description: "keep it for this node, in place of for none",
  parse: parseNodeName,
};

const REASON: Flag<string> = {
  name: "reason",
  value: "TEXT",
  description: "why, for those who list the subnets",
  parse: parseText,
};

const LIST: CommandSpec = {
  name: "list",
  summary: "List the subnets that are owned, reserved, conflicting or released",
  action: "list subnets",
  flags: CLIENT_FLAGS,
  examples: ["stellar-net subnet list", "stellar-net subnet list --json"],
  run: async (call) => {
    const { subnets } = await call.clients().registry.listSubnets({});
    answerSubnets(call, subnets.map(viewSubnet));
    if (subnets.length === 0) {
      call.note(
        "No subnet is in use: a node claims its own with its first allocation",
      );
    }
  },
};

const RESERVE: CommandSpec = {
  name: "reserve",
  summary: "Keep a subnet from being handed out, or keep it for one node",
  action: "reserve the subnet",
  operands: [CIDR],
  flags: [NODE, REASON, ...CLIENT_FLAGS],
  examples: [
    "stellar-net subnet reserve 172.16.8.0/22 --node node3",
    'stellar-net subnet reserve 172.20.0.0/22 --reason "used by the lab"',
  ],
  run: async (call) => {
    const request = {
      cidr: call.operand(CIDR),
      node: call.value(NODE) ?? "",
      reason: call.value(REASON) ?? "",
    };
    const { subnet } = await call.clients().registry.reserveSubnet(request);
    const views = subnet ? [viewSubnet(subnet)] : [];
    answerSubnets(call, views, { subnet: views[0] ?? null });
  },
};

const UNRESERVE: CommandSpec = {
  name: "unreserve",
  summary: "End a reservation; one that is not there is no error",
  action: "end the reservation",
  operands: [CIDR],
  flags: CLIENT_FLAGS,
  examples: ["stellar-net subnet unreserve 172.16.8.0/22"],
  run: async (call) => {
    const cidr = call.operand(CIDR);
    await call.clients().registry.unreserveSubnet({ cidr });
    call.answer({ cidr }, [`Unreserved ${cidr}`]);
  },
};

export const SUBNET: GroupSpec = {
  name: "subnet",
  summary: "List, reserve and unreserve the subnets of nodes",
  examples: ["stellar-net subnet list"],
  commands: [LIST, RESERVE, UNRESERVE],
};

function answerSubnets(
  call: Call,
  subnets: readonly SubnetView[],
  body: Readonly<Record<string, unknown>> = { subnets },
): void {
  const rows = subnets.map((subnet) => [
    subnet.cidr,
    formatState(subnet),
    subnet.node ?? "",
    subnet.gateway,
    formatAge(subnet.since, call.io.now()),
    subnet.reason ?? "",
  ]);
  const header = ["SUBNET", "STATE", "NODE", "GATEWAY", "SINCE", "REASON"];
  call.answer(body, formatTable(header, rows));
}

// A node keeps a subnet that came into conflict later: it shows beside the state.
function formatState({ state, reason }: SubnetView): string {
  return state === "owned" && reason !== null ? "owned, in conflict" : state;
}
