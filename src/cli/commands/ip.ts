import {
  parseContainerId,
  parseInterfaceName,
  parseNetworkName,
  parseNodeName,
} from "../../base/names.ts";
import type { Call, CommandSpec, GroupSpec } from "../framework/call.ts";
import type { AgentClients, Allocation } from "../framework/client.ts";
import {
  type Flag,
  type FlagWithDefault,
  type Operand,
  switchFlag,
} from "../framework/flag.ts";
import {
  answerList,
  type Columns,
  createListing,
  createSince,
  LIMIT,
  listCommand,
  readSince,
} from "../framework/list.ts";
import { parseAddressText } from "../framework/parsers.ts";
import { CLIENT_FLAGS } from "../framework/target.ts";
import { formatAge, formatUtc } from "../framework/text.ts";
import { type View, viewOf, viewOrNull } from "../framework/view.ts";

type AllocationView = View<Allocation>;

const CONTAINER_ID: Operand<string> = {
  name: "CONTAINER_ID",
  description: "id of the container, or any unique name",
  parse: parseContainerId,
};

const NODE: Flag<string> = {
  name: "node",
  value: "NAME",
  description: "name of the node",
  defaultNote: "the agent's own",
  parse: parseNodeName,
};

const NETWORK_NAME: FlagWithDefault<string> = {
  name: "network-name",
  value: "NAME",
  description: "name of the container network",
  default: "default",
  parse: parseNetworkName,
};

const INTERFACE: FlagWithDefault<string> = {
  name: "interface",
  value: "NAME",
  description: "name of the interface in the container",
  default: "eth0",
  parse: parseInterfaceName,
};

const ADDRESS: Flag<string> = {
  name: "address",
  value: "ADDRESS",
  description: "request this address, at most one per network",
  repeatable: true,
  parse: parseAddressText,
};

const LEAKED = switchFlag(
  "leaked",
  "only addresses whose container seems to be gone, with the reason",
);

const OWNER_FLAGS = [NODE, NETWORK_NAME, INTERFACE];

const ALLOCATE: CommandSpec = {
  name: "allocate",
  summary:
    "Allocate a container one address per network, or show those it holds",
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
    answerOne(call, allocation, { created });
    if (!created) call.note("It held this already: nothing changed");
  },
};

const RELEASE: CommandSpec = {
  name: "release",
  summary: "Release a container's addresses; succeeds if it holds none",
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

const GET: CommandSpec = {
  name: "get",
  summary: "Show the addresses of a container",
  action: "look up the addresses",
  operands: [CONTAINER_ID],
  flags: [...OWNER_FLAGS, ...CLIENT_FLAGS],
  examples: ["stellar-net ip get web-1", "stellar-net ip get web-1 --json"],
  run: async (call) => {
    const request = ownerRequest(call);
    const { allocation } = await call.clients().ipam.getAllocation(request);
    answerOne(call, allocation);
  },
};

const LIST = listCommand({
  name: "list",
  summary: "List the addresses that containers hold on a node",
  action: "list addresses",
  flags: [NODE, LEAKED],
  examples: ["stellar-net ip list", "stellar-net ip list --leaked"],
  read: async (call) => {
    const leaked = call.value(LEAKED) ?? false;
    const selection = { node: call.value(NODE) ?? "", leaked };
    const allocations = await listAll(call.clients(), selection);
    return createListing({
      body: { allocations },
      columns: {
        ADDRESS: ({ address }) => address,
        CONTAINER: ({ owner }) => owner?.containerId ?? "",
        INTERFACE: ({ owner }) => owner?.interfaceName ?? "",
        NETWORK: ({ owner }) => owner?.network ?? "",
        NODE: ({ node }) => node,
        ALLOCATED: ({ allocatedAt }) => formatAge(allocatedAt, call.io.now()),
        ...whyColumn(leaked),
      },
      rows: allocations.flatMap(rowsOf),
      notes: [
        allocations.length === 0 &&
        (leaked
          ? "No address seems to be leaked"
          : 'No container holds an address: "stellar-net ip allocate CONTAINER_ID" allocates one'),
      ],
    });
  },
});

async function listAll(
  { ipam }: AgentClients,
  selection: { readonly node: string; readonly leaked: boolean },
): Promise<AllocationView[]> {
  const allocations: AllocationView[] = [];
  let pageToken = "";
  do {
    const page = await ipam.listAllocations({ ...selection, pageToken });
    allocations.push(...page.allocations.map(viewOf));
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

type AddressRow = ReturnType<typeof rowsOf>[number];

/** The reason why an address seems to be leaked. */
function whyColumn(leaked: boolean): Columns<AddressRow> {
  return leaked ? { WHY: ({ leak }) => leak ?? "" } : {};
}

/** A row for each address of an allocation. */
function rowsOf({ addresses, ...allocation }: AllocationView) {
  return addresses.map((address) => ({ ...allocation, ...address }));
}

function answerOne(
  call: Call,
  message: Allocation | undefined,
  more: Readonly<Record<string, unknown>> = {},
): void {
  const allocation = viewOrNull(message);
  answerList(
    call,
    createListing({
      body: { allocation, ...more },
      columns: {
        ADDRESS: ({ address }) => address,
        SUBNET: ({ subnet }) => subnet,
        GATEWAY: ({ gateway }) => gateway,
        NODE: ({ node }) => node,
        ALLOCATED: ({ allocatedAt }) => formatAge(allocatedAt, call.io.now()),
      },
      rows: allocation ? rowsOf(allocation) : [],
    }),
  );
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

const SINCE = createSince("addresses held");

const HISTORY = listCommand({
  name: "history",
  summary: "Show which container held which address, and when",
  action: "list the history",
  flags: [ONE_ADDRESS, CONTAINER, SINCE, LIMIT, NODE],
  examples: [
    "stellar-net ip history --address 172.16.0.2",
    "stellar-net ip history --container web-1 --since 24h",
  ],
  read: async (call) => {
    const limit = call.value(LIMIT);
    const request = {
      node: call.value(NODE) ?? "",
      address: call.value(ONE_ADDRESS) ?? "",
      containerId: call.value(CONTAINER) ?? "",
      limit,
      ...readSince(call, SINCE),
    };
    const response = await call.clients().ipam.listHistory(request);
    const { records, truncated } = viewOf(response);
    return createListing({
      body: { records, truncated },
      columns: {
        ADDRESS: ({ address }) => address,
        CONTAINER: ({ owner }) => owner?.containerId ?? "",
        INTERFACE: ({ owner }) => owner?.interfaceName ?? "",
        NODE: ({ node }) => node,
        FROM: ({ allocatedAt }) => formatUtc(allocatedAt),
        TO: ({ releasedAt }) =>
          releasedAt === null ? "held" : formatUtc(releasedAt),
        REASON: ({ reason }) => reason ?? "",
      },
      rows: records,
      notes: [
        records.length === 0 && "No record matches",
        truncated && `Only the newest ${limit} are shown: --limit shows more`,
      ],
    });
  },
});

export const IP: GroupSpec = {
  name: "ip",
  summary: "Allocate, release and look up the addresses of containers",
  commands: [ALLOCATE, RELEASE, GET, LIST, HISTORY],
};
