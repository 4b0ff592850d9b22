import {
  parseContainerId,
  parseInterfaceName,
  parseNetworkName,
  parseNodeName,
} from "../../base/names.ts";
import type { Call, CommandSpec, GroupSpec } from "../framework/call.ts";
import { type AgentClients, CLIENT_FLAGS } from "../framework/client.ts";
import { parseAddressText, parseSwitch } from "../framework/flags.ts";
import { createSince, LIMIT, readSince } from "../framework/record_flags.ts";
import type { Flag, Operand } from "../framework/flag.ts";
import { formatTable } from "../framework/table.ts";
import { formatAge, formatUtc } from "../framework/text.ts";
import {
  type AllocationView,
  viewAllocation,
  viewHistory,
} from "../framework/views.ts";

const CONTAINER_ID: Operand<string> = {
  name: "CONTAINER_ID",
  description: "id of the container, or any name that is its own",
  parse: parseContainerId,
};

/** The node that a command is about. */
export const NODE: Flag<string> = {
  name: "node",
  value: "NAME",
  description: "name of the node",
  defaultNote: "the agent's own",
  parse: parseNodeName,
};

const NETWORK_NAME: Flag<string> & { readonly default: string } = {
  name: "network-name",
  value: "NAME",
  description: "name of the container network",
  default: "default",
  parse: parseNetworkName,
};

const INTERFACE: Flag<string> & { readonly default: string } = {
  name: "interface",
  value: "NAME",
  description: "name of the interface in the container",
  default: "eth0",
  parse: parseInterfaceName,
};

const ADDRESS: Flag<string> = {
  name: "address",
  value: "ADDRESS",
  description: "ask for this address, at most one of each network",
  repeatable: true,
  parse: parseAddressText,
};

const LEAKED: Flag<boolean> = {
  name: "leaked",
  description: "only those whose container seems to be gone, and why",
  parse: parseSwitch,
};

const OWNER_FLAGS = [NODE, NETWORK_NAME, INTERFACE];

export const ALLOCATE: CommandSpec = {
  name: "allocate",
  summary:
    "Give a container an address of each network, or show those it holds",
  action: "allocate an address",
  operands: [CONTAINER_ID],
  flags: [...OWNER_FLAGS, ADDRESS, ...CLIENT_FLAGS],
  examples: [
    "stellar-net ip allocate web-1",
    "stellar-net ip allocate web-1 --interface eth1",
    "stellar-net ip allocate db-1 --address 172.16.0.10",
  ],
  run: async (call) => {
    const request = { ...ownerRequest(call), addresses: call.values(ADDRESS) };
    const { allocation, created } = await call.clients().ipam.allocate(request);
    const views = allocation ? [viewAllocation(allocation)] : [];
    answerOne(call, views, { allocation: views[0] ?? null, created });
    if (!created) call.note("It held this already: nothing was changed");
  },
};

export const RELEASE: CommandSpec = {
  name: "release",
  summary: "Take a container's addresses back; holding none is no error",
  action: "release the addresses",
  operands: [CONTAINER_ID],
  flags: [...OWNER_FLAGS, ...CLIENT_FLAGS],
  examples: ["stellar-net ip release web-1"],
  run: async (call) => {
    const request = ownerRequest(call);
    const { addresses } = await call.clients().ipam.release(request);
    const { containerId, interfaceName, network } = request.owner;
    call.answer(
      { released: addresses },
      addresses.map((address) => `Released ${address}`),
    );
    if (addresses.length === 0) {
      call.note(
        `Nothing to release: "${containerId}" holds no address for ` +
          `${interfaceName} in the network "${network}"`,
      );
    }
  },
};

export const GET: CommandSpec = {
  name: "get",
  summary: "Show what a container holds",
  action: "look up the addresses",
  operands: [CONTAINER_ID],
  flags: [...OWNER_FLAGS, ...CLIENT_FLAGS],
  examples: ["stellar-net ip get web-1", "stellar-net ip get web-1 --json"],
  run: async (call) => {
    const request = ownerRequest(call);
    const { allocation } = await call.clients().ipam.getAllocation(request);
    const views = allocation ? [viewAllocation(allocation)] : [];
    answerOne(call, views, { allocation: views[0] ?? null });
  },
};

export const LIST: CommandSpec = {
  name: "list",
  summary: "List the addresses that are held on a node",
  action: "list addresses",
  flags: [NODE, LEAKED, ...CLIENT_FLAGS],
  examples: ["stellar-net ip list", "stellar-net ip list --leaked"],
  run: async (call) => {
    const leaked = call.value(LEAKED) ?? false;
    const selection = { node: call.value(NODE) ?? "", leaked };
    const allocations = await listAll(call.clients(), selection);
    const rows = allocations.flatMap(({ addresses, owner, ...view }) =>
      addresses.map(({ address }) => [
        address,
        owner.containerId,
        owner.interfaceName,
        owner.network,
        view.node,
        formatAge(view.allocatedAt, call.io.now()),
        ...leaked ? [view.leak ?? ""] : [],
      ])
    );
    const header = [
      "ADDRESS",
      "CONTAINER",
      "INTERFACE",
      "NETWORK",
      "NODE",
      "ALLOCATED",
      ...leaked ? ["WHY"] : [],
    ];
    call.answer({ allocations }, formatTable(header, rows));
    if (allocations.length > 0) return;
    call.note(
      leaked
        ? "No address seems to be leaked"
        : 'No address is held: "stellar-net ip allocate CONTAINER_ID" gives one',
    );
  },
};

async function listAll(
  { ipam }: AgentClients,
  selection: { readonly node: string; readonly leaked: boolean },
): Promise<AllocationView[]> {
  const allocations: AllocationView[] = [];
  let pageToken = "";
  do {
    const page = await ipam.listAllocations({ ...selection, pageToken });
    allocations.push(...page.allocations.map(viewAllocation));
    if (page.nextPageToken !== "" && page.nextPageToken === pageToken) {
      throw new Error("the agent returned the same page token twice");
    }
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return allocations;
}

function ownerRequest(call: Call) {
  return {
    node: call.value(NODE) ?? "",
    owner: {
      network: call.value(NETWORK_NAME),
      containerId: call.operand(CONTAINER_ID),
      interfaceName: call.value(INTERFACE),
    },
  };
}

function answerOne(
  call: Call,
  allocations: readonly AllocationView[],
  body: Readonly<Record<string, unknown>>,
): void {
  const rows = allocations.flatMap(({ addresses, allocatedAt, node }) =>
    addresses.map(({ address, subnet, gateway }) => [
      address,
      subnet,
      gateway,
      node,
      formatAge(allocatedAt, call.io.now()),
    ])
  );
  const header = ["ADDRESS", "SUBNET", "GATEWAY", "NODE", "ALLOCATED"];
  call.answer(body, formatTable(header, rows));
}

const ONE_ADDRESS: Flag<string> = {
  name: "address",
  value: "ADDRESS",
  description: "only this address",
  parse: parseAddressText,
};

const CONTAINER: Flag<string> = {
  name: "container",
  value: "ID",
  description: "only this container",
  parse: parseContainerId,
};

const SINCE = createSince("was held");

export const HISTORY: CommandSpec = {
  name: "history",
  summary: "Show who held which address, from when to when",
  action: "list the history",
  flags: [ONE_ADDRESS, CONTAINER, SINCE, LIMIT, NODE, ...CLIENT_FLAGS],
  examples: [
    "stellar-net ip history --address 172.16.0.2",
    "stellar-net ip history --container web-1 --since 24h",
  ],
  run: async (call) => {
    const limit = call.value(LIMIT);
    const request = {
      node: call.value(NODE) ?? "",
      address: call.value(ONE_ADDRESS) ?? "",
      containerId: call.value(CONTAINER) ?? "",
      limit,
      ...readSince(call, SINCE),
    };
    const { records, truncated } = await call.clients().ipam.listHistory(
      request,
    );
    const views = records.map(viewHistory);
    const rows = views.map(({ owner, ...record }) => [
      record.address,
      owner.containerId,
      owner.interfaceName,
      record.node,
      formatUtc(record.allocatedAt),
      record.releasedAt === null ? "held" : formatUtc(record.releasedAt),
      record.reason ?? "",
    ]);
    const header = [
      "ADDRESS",
      "CONTAINER",
      "INTERFACE",
      "NODE",
      "FROM",
      "TO",
      "REASON",
    ];
    call.answer({ records: views, truncated }, formatTable(header, rows));
    if (rows.length === 0) call.note("No record matches");
    if (truncated) {
      call.note(`Only the newest ${limit} are shown: --limit shows more`);
    }
  },
};

export const IP: GroupSpec = {
  name: "ip",
  summary: "Allocate, release and look up the addresses of containers",
  examples: ["stellar-net ip allocate web-1", "stellar-net ip list"],
  commands: [ALLOCATE, RELEASE, GET, LIST, HISTORY],
};
