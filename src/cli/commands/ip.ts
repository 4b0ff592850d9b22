import { parseContainerId, parseText } from "../../base/names.ts";
import { NetError } from "../../base/error.ts";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import type { Call, CommandSpec, GroupSpec } from "../framework/call.ts";
import type {
  AgentClients,
  Allocation,
  Reservation,
} from "../framework/client.ts";
import {
  type Flag,
  type Operand,
  refuseTogether,
  switchFlag,
} from "../framework/flag.ts";
import {
  age,
  answerList,
  type Columns,
  createListing,
  listCommand,
  type Listing,
  readPages,
} from "../framework/list.ts";
import { parseAddressText } from "../framework/parsers.ts";
import { CLIENT_FLAGS } from "../framework/target.ts";
import { type View, viewOf, viewOrNull } from "../framework/view.ts";
import {
  ADDRESS,
  ANY_NETWORK_NAME,
  CONTAINER_ID,
  CONTAINER_IDS,
  DRY_RUN,
  INTERFACE,
  LABEL,
  NETWORK_NAME,
  NODE,
  TTL,
  WITH_LABEL,
} from "./ip_flags.ts";
import { readAllAllocations } from "./all_allocations.ts";
import { HISTORY } from "./ip_history.ts";

type AllocationView = View<Allocation>;

const LEAKED = switchFlag(
  "leaked",
  "only addresses whose container seems to be gone, with the reason",
);

const HOLDER_FLAGS = [NODE, ANY_NETWORK_NAME, INTERFACE];

const ALLOCATE: CommandSpec = {
  name: "allocate",
  summary:
    "Allocate a container one address per network, or show those it holds",
  action: "allocate an address",
  operands: [CONTAINER_ID],
  flags: [
    ...[NODE, NETWORK_NAME, INTERFACE, ADDRESS, LABEL, TTL, DRY_RUN],
    ...CLIENT_FLAGS,
  ],
  examples: [
    "stellar-net ip allocate web-1",
    "stellar-net ip allocate web-1 --interface eth1",
    "stellar-net ip allocate db-1 --address 172.16.0.10",
    "stellar-net ip allocate web-1 --label app=web --label tier=front",
  ],
  run: async (call) => {
    const ttl = call.value(TTL);
    const request = {
      node: call.value(NODE) ?? "",
      owner: {
        network: call.value(NETWORK_NAME),
        containerId: call.operand(CONTAINER_ID),
        interfaceName: call.value(INTERFACE),
      },
      addresses: call.values(ADDRESS),
      labels: Object.fromEntries(call.values(LABEL)),
      ...ttl !== undefined && { ttl: durationFromMs(ttl) },
      validateOnly: call.value(DRY_RUN) ?? false,
    };
    const { allocation, created, updated } = await call.clients().ipam
      .allocate(request);
    answerOne(call, allocation, { created });
    if (request.validateOnly) call.note("Dry run: nothing changed");
    else if (updated) {
      call.note("It held this already: its labels or time to live changed");
    } else if (!created) call.note("It held this already: nothing changed");
  },
};

const RELEASE: CommandSpec = {
  name: "release",
  summary: "Release the addresses of containers; succeeds if they hold none",
  action: "release the addresses",
  operands: [CONTAINER_IDS],
  flags: [...HOLDER_FLAGS, DRY_RUN, ...CLIENT_FLAGS],
  examples: [
    "stellar-net ip release web-1",
    "stellar-net ip release web-1 web-2 --network-name stellar",
  ],
  run: async (call) => {
    const ids = call.operands(CONTAINER_IDS);
    const holder = readHolder(call);
    const validateOnly = call.value(DRY_RUN) ?? false;
    const clients = call.clients();
    // An ambiguous id must not leave half of the ids released.
    const requests: OwnerRequest[] = [];
    for (const id of ids) {
      requests.push(await findOwner(clients, id, holder));
    }
    const released: string[] = [];
    const empty: OwnerRequest[] = [];
    for (const request of requests) {
      const { addresses } = await clients.ipam.release({
        ...request,
        validateOnly,
      });
      released.push(...addresses);
      if (addresses.length === 0) empty.push(request);
    }
    call.answer(
      { released },
      released.map((address) =>
        `${validateOnly ? "Would release" : "Released"} ${address}`
      ),
    );
    for (const { owner, isGuess } of empty) {
      const { containerId, interfaceName, network } = owner;
      call.note(
        `Nothing to release: "${containerId}" holds no address for ` +
          `${interfaceName} in ${
            isGuess ? "any network" : `the network "${network}"`
          }`,
      );
    }
  },
};

const GET: CommandSpec = {
  name: "get",
  summary: "Show the addresses of a container",
  action: "look up the addresses",
  operands: [CONTAINER_ID],
  flags: [...HOLDER_FLAGS, ...CLIENT_FLAGS],
  examples: ["stellar-net ip get web-1", "stellar-net ip get web-1 --json"],
  run: async (call) => {
    const id = call.operand(CONTAINER_ID);
    const holder = readHolder(call);
    const clients = call.clients();
    const request = await findOwner(clients, id, holder);
    const { allocation } = await clients.ipam.getAllocation(request);
    answerOne(call, allocation);
  },
};

const RESERVED = switchFlag(
  "reserved",
  "the reserved addresses instead, with the reason",
);

const ALL_NODES = switchFlag(
  "all-nodes",
  "the addresses of all nodes of the cluster",
);

const LIST = listCommand({
  name: "list",
  summary: "List the addresses that containers hold on a node, or on all",
  action: "list addresses",
  flags: [NODE, ALL_NODES, WITH_LABEL, LEAKED, RESERVED],
  examples: [
    "stellar-net ip list",
    "stellar-net ip list --all-nodes",
    "stellar-net ip list --label app=web",
    "stellar-net ip list --leaked",
    "stellar-net ip list --reserved",
  ],
  read: async (call) => {
    refuseTogether(call, {
      flag: ALL_NODES,
      others: [NODE, RESERVED],
      why: "it lists what containers hold on all nodes",
    });
    if (call.value(RESERVED) ?? false) {
      if (call.value(LEAKED) ?? false) {
        throw call.usage("--leaked and --reserved exclude each other");
      }
      return listReserved(call);
    }
    const leaked = call.value(LEAKED) ?? false;
    const labels = Object.fromEntries(call.values(WITH_LABEL));
    const selection = { node: call.value(NODE) ?? "", leaked, labels };
    const { allocations, silentNodes } = call.value(ALL_NODES)
      ? await listAllNodes(call, selection)
      : {
        allocations: await listAll(call.clients(), selection),
        silentNodes: [],
      };
    return createListing({
      body: {
        allocations,
        ...call.value(ALL_NODES) && { silentNodes },
      },
      columns: {
        ADDRESS: ({ address }) => address,
        CONTAINER: ({ owner }) => owner?.containerId ?? "",
        INTERFACE: ({ owner }) => owner?.interfaceName ?? "",
        NETWORK: ({ owner }) => owner?.network ?? "",
        NODE: ({ node }) => node,
        ALLOCATED: ({ allocatedAt }) => age(allocatedAt),
        ...whyColumn(leaked),
      },
      wide: {
        SUBNET: ({ subnet }) => subnet,
        GATEWAY: ({ gateway }) => gateway,
        NETNS: ({ attachment }) => attachment?.netns ?? "",
        LABELS: ({ labels }) =>
          Object.entries(labels).map(([key, value]) => `${key}=${value}`)
            .join(" "),
        TTL: ({ ttl }) => ttl ?? "",
      },
      rows: allocations.flatMap(rowsOf),
      notes: [
        allocations.length === 0 &&
        (leaked
          ? "No address seems to be leaked"
          : 'No container holds an address: "stellar-net ip allocate CONTAINER_ID" allocates one'),
        ...silentNodes.map(({ node, problem }) =>
          `The addresses of ${node} are missing: ${problem}`
        ),
      ],
    });
  },
});

const RESERVED_ADDRESS: Operand<string> = {
  name: "ADDRESS",
  description: "address of the node",
  parse: parseAddressText,
};

const RESERVED_FOR: Flag<string> = {
  name: "container",
  value: "ID",
  description: "reserve it for this container, instead of for nobody",
  parse: parseContainerId,
};

const REASON: Flag<string> = {
  name: "reason",
  value: "TEXT",
  description: "why, for other operators",
  parse: parseText,
};

const RESERVE: CommandSpec = {
  name: "reserve",
  summary: "Reserve an address for one container, or for nobody",
  action: "reserve the address",
  operands: [RESERVED_ADDRESS],
  flags: [
    ...[RESERVED_FOR, NETWORK_NAME, INTERFACE, REASON, NODE],
    ...CLIENT_FLAGS,
  ],
  examples: [
    "stellar-net ip reserve 172.16.0.10 --container db-1 --network-name pods",
    'stellar-net ip reserve 172.16.0.11 --reason "printer, set by hand"',
  ],
  run: async (call) => {
    const containerId = call.value(RESERVED_FOR);
    const { reservation } = await call.clients().ipam.reserve({
      node: call.value(NODE) ?? "",
      address: call.operand(RESERVED_ADDRESS),
      reason: call.value(REASON) ?? "",
      ...(containerId !== undefined && {
        owner: {
          containerId,
          network: call.value(NETWORK_NAME),
          interfaceName: call.value(INTERFACE),
        },
      }),
    });
    const view = viewOrNull(reservation);
    answerList(
      call,
      createListing({
        body: { reservation: view },
        columns: reservedColumns(),
        rows: view ? [view] : [],
      }),
    );
  },
};

const UNRESERVE: CommandSpec = {
  name: "unreserve",
  summary: "End the reservation of an address; succeeds if there is none",
  action: "end the reservation",
  operands: [RESERVED_ADDRESS],
  flags: [NODE, ...CLIENT_FLAGS],
  examples: ["stellar-net ip unreserve 172.16.0.10"],
  run: async (call) => {
    const address = call.operand(RESERVED_ADDRESS);
    const node = call.value(NODE) ?? "";
    const { reservation } = await call.clients().ipam
      .unreserve({ node, address });
    call.answer({ reservation: viewOrNull(reservation) }, [
      reservation
        ? `Unreserved ${address}`
        : `Nothing to do: ${address} is not reserved`,
    ]);
  },
};

function reservedColumns(): Columns<View<Reservation>> {
  return {
    ADDRESS: ({ address }) => address,
    CONTAINER: ({ owner }) => owner?.containerId ?? "",
    INTERFACE: ({ owner }) => owner?.interfaceName ?? "",
    NETWORK: ({ owner }) => owner?.network ?? "",
    NODE: ({ node }) => node,
    RESERVED: ({ reservedAt }) => age(reservedAt),
    REASON: ({ reason }) => reason ?? "",
  };
}

async function listReserved(call: Call): Promise<Listing> {
  const { ipam } = call.clients();
  const node = call.value(NODE) ?? "";
  const reservations = await readPages(async (pageToken) => {
    const page = await ipam.listReservations({ node, pageToken });
    return [page.reservations.map(viewOf), page.nextPageToken];
  });
  return createListing({
    body: { reservations },
    columns: reservedColumns(),
    rows: reservations,
    notes: [reservations.length === 0 && "No address is reserved"],
  });
}

interface Selection {
  readonly node: string;
  readonly leaked?: boolean;
  readonly labels?: Record<string, string>;
  readonly containerId?: string;
}

async function listAll(
  { ipam }: AgentClients,
  selection: Selection,
): Promise<AllocationView[]> {
  return await readPages(async (pageToken) => {
    const page = await ipam.listAllocations({ ...selection, pageToken });
    return [page.allocations.map(viewOf), page.nextPageToken];
  });
}

async function listAllNodes(
  call: Call,
  { leaked, labels = {} }: Omit<Selection, "node">,
): ReturnType<typeof readAllAllocations> {
  const { allocations, silentNodes } = await readAllAllocations(call);
  return {
    allocations: allocations.filter((allocation) =>
      (!leaked || allocation.leak !== null) &&
      Object.entries(labels).every(([key, value]) =>
        allocation.labels[key] === value
      )
    ),
    silentNodes,
  };
}

/** The part of an owner that flags name. */
interface Holder {
  readonly node: string;
  readonly network: string | undefined;
  readonly interfaceName: string;
}

function readHolder(call: Call): Holder {
  return {
    node: call.value(NODE) ?? "",
    network: call.value(ANY_NETWORK_NAME),
    interfaceName: call.value(INTERFACE),
  };
}

interface OwnerRequest {
  readonly node: string;
  readonly owner: {
    readonly network: string;
    readonly containerId: string;
    readonly interfaceName: string;
  };
  /** Whether the container holds nothing in any network. */
  readonly isGuess: boolean;
}

/**
 * Finds the network in which a container holds addresses, unless a flag names it.
 *
 * @throws {NetError} `failed_precondition` when there are several
 */
async function findOwner(
  clients: AgentClients,
  containerId: string,
  { node, network, interfaceName }: Holder,
): Promise<OwnerRequest> {
  const request = (network: string, isGuess = false) => ({
    node,
    owner: { network, containerId, interfaceName },
    isGuess,
  });
  if (network !== undefined) return request(network);
  const listed = await listAll(clients, { node, containerId });
  // An older agent lists every container.
  const held = listed.filter(({ owner }) =>
    owner?.containerId === containerId &&
    owner.interfaceName === interfaceName
  );
  const [first, ...others] = held.map(({ owner }) => owner!.network);
  if (others.length === 0) {
    return request(first ?? NETWORK_NAME.default, first === undefined);
  }
  const places = held.map(({ owner, addresses }) =>
    `"${owner!.network}" (${addresses.map((a) => a.address).join(" and ")})`
  );
  throw new NetError(
    "failed_precondition",
    `"${containerId}" holds addresses for ${interfaceName} in several networks, ${
      places.join(", ")
    }: name one with --network-name`,
  );
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
        ALLOCATED: ({ allocatedAt }) => age(allocatedAt),
      },
      rows: allocation ? rowsOf(allocation) : [],
    }),
  );
}

export const IP: GroupSpec = {
  name: "ip",
  summary: "Allocate, release, reserve and look up the addresses of containers",
  commands: [ALLOCATE, RELEASE, GET, LIST, HISTORY, RESERVE, UNRESERVE],
};
