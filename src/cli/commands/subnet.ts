import { parseNodeName, parseText } from "../../base/names.ts";
import type { CommandSpec, GroupSpec } from "../framework/call.ts";
import type { Subnet } from "../framework/client.ts";
import type { Flag, Operand } from "../framework/flag.ts";
import {
  age,
  answerList,
  type Columns,
  createListing,
  listCommand,
  readPages,
} from "../framework/list.ts";
import { parsePrefixText } from "../framework/parsers.ts";
import { CLIENT_FLAGS } from "../framework/target.ts";
import { type View, viewOf, viewOrNull } from "../framework/view.ts";

const CIDR: Operand<string> = {
  name: "CIDR",
  description: "subnet, such as 172.16.8.0/22",
  parse: parsePrefixText,
};

const NODE: Flag<string> = {
  name: "node",
  value: "NAME",
  description: "reserve it for this node, instead of for nobody",
  completion: "node",
  parse: parseNodeName,
};

const REASON: Flag<string> = {
  name: "reason",
  value: "TEXT",
  description: "reason, shown in the list of subnets",
  parse: parseText,
};

const LIST = listCommand({
  name: "list",
  summary: "List the subnets that are owned, reserved, conflicting or released",
  action: "list subnets",
  examples: ["stellar-net subnet list", "stellar-net subnet list --json"],
  read: async (call) => {
    const { registry } = call.clients();
    const subnets = await readPages(async (pageToken) => {
      const page = await registry.listSubnets({ pageToken });
      return [page.subnets.map(viewOf), page.nextPageToken];
    });
    return createListing({
      body: { subnets },
      columns: COLUMNS,
      rows: subnets,
      notes: [
        subnets.length === 0 &&
        "No subnet is in use: a node claims its own with its first allocation",
      ],
    });
  },
});

const RESERVE: CommandSpec = {
  name: "reserve",
  summary: "Reserve a subnet for one node, or for nobody",
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
    const response = await call.clients().registry.reserveSubnet(request);
    const subnet = viewOrNull(response.subnet);
    const rows = subnet ? [subnet] : [];
    answerList(
      call,
      createListing({ body: { subnet }, columns: COLUMNS, rows }),
    );
  },
};

const UNRESERVE: CommandSpec = {
  name: "unreserve",
  summary: "End a reservation; succeeds if there is none",
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
  commands: [LIST, RESERVE, UNRESERVE],
};

const COLUMNS: Columns<View<Subnet>> = {
  SUBNET: ({ cidr }) => cidr,
  // A node keeps a subnet that came into conflict later.
  STATE: ({ state, reason }) =>
    state === "owned" && reason !== null ? "owned, in conflict" : state,
  NODE: ({ node }) => node ?? "",
  GATEWAY: ({ gateway }) => gateway,
  SINCE: ({ since }) => age(since),
  REASON: ({ reason }) => reason ?? "",
};
