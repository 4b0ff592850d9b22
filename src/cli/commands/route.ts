import type { Call, CommandSpec, GroupSpec } from "../framework/call.ts";
import type {
  HostRoute,
  ListHostRoutesResponse,
  Route,
} from "../framework/client.ts";
import {
  type Operand,
  type OptionalOperand,
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
import { parseAddressText, parsePrefixText } from "../framework/parsers.ts";
import { CLIENT_FLAGS } from "../framework/target.ts";
import { type View, viewOf, viewOrNull } from "../framework/view.ts";

const CIDR: Operand<string> = {
  name: "CIDR",
  description: "destination, such as 192.0.2.0/24",
  parse: parsePrefixText,
};

const TARGET: Operand<string> = {
  name: "TARGET",
  description: "next hop: an address of the same family",
  parse: parseAddressText,
};

const OPTIONAL_TARGET: OptionalOperand<string> = {
  ...TARGET,
  description: "delete it only if this is its next hop",
  optional: true,
};

const EXTRA = switchFlag(
  "extra",
  "list only the extra routes, as the registry has them",
);

const LIST = listCommand({
  name: "list",
  summary: "List the routes that this host should have, and those it has",
  action: "list routes",
  flags: [EXTRA],
  examples: [
    "stellar-net route list",
    "stellar-net route list --extra",
    "stellar-net route list --json",
  ],
  read: (call) => call.value(EXTRA) ? listExtra(call) : listHostRoutes(call),
});

const PLAN: CommandSpec = {
  name: "plan",
  summary: "Print the commands that would correct this host's routes",
  action: "plan routes",
  flags: CLIENT_FLAGS,
  examples: ["stellar-net route plan", "stellar-net route plan --json"],
  run: async (call) => {
    const view = await readHostRoutes(call);
    const { mode, commands, lookedAt, error } = view;
    // The commands are those of pending routes.
    const open = view.routes.filter(({ state }) =>
      !["installed", "not needed", "pending"].includes(state)
    );
    call.answer({ mode, commands, lookedAt, error, open }, commands);
    if (commands.length === 0 && mode !== "off" && error === null) {
      call.note(
        open.length === 0
          ? "Nothing to change"
          : "The agent has no command to run; these routes are not in the kernel:",
      );
    }
    if (mode !== "off") {
      for (const { cidr, target, state, why } of open) {
        call.note(
          `${cidr} via ${target}: ${state}${why === null ? "" : `: ${why}`}`,
        );
      }
    }
    for (const note of stateNotes(view)) call.note(note);
  },
};

const ADD: CommandSpec = {
  name: "add",
  summary: "Add an extra route on every node",
  action: "add the route",
  operands: [CIDR, TARGET],
  flags: CLIENT_FLAGS,
  examples: ["stellar-net route add 192.0.2.0/24 172.16.0.9"],
  run: async (call) => {
    const request = {
      cidr: call.operand(CIDR),
      target: call.operand(TARGET),
    };
    const response = await call.clients().registry.addRoute(request);
    const route = viewOrNull(response.route);
    const rows = route ? [route] : [];
    answerList(
      call,
      createListing({ body: { route }, columns: EXTRA_COLUMNS, rows }),
    );
  },
};

const DELETE: CommandSpec = {
  name: "delete",
  summary: "Delete an extra route; succeeds if there is none",
  action: "delete the route",
  operands: [CIDR, OPTIONAL_TARGET],
  flags: CLIENT_FLAGS,
  examples: [
    "stellar-net route delete 192.0.2.0/24",
    "stellar-net route delete 192.0.2.0/24 172.16.0.9",
  ],
  run: async (call) => {
    const cidr = call.operand(CIDR);
    const target = call.operand(OPTIONAL_TARGET) ?? "";
    const { registry } = call.clients();
    const { deleted } = await registry.deleteRoute({ cidr, target });
    // An older agent does not say whether there was one.
    const isAbsent = deleted === false;
    call.answer({ cidr, ...deleted !== undefined && { deleted } }, [
      isAbsent
        ? `Nothing to delete: there is no extra route ${cidr}`
        : `Deleted ${cidr}`,
    ]);
  },
};

export const ROUTE: GroupSpec = {
  name: "route",
  summary: "List this host's routes, add and delete extra ones",
  commands: [LIST, PLAN, ADD, DELETE],
};

async function listExtra(call: Call): Promise<Listing> {
  const { registry } = call.clients();
  const routes = await readPages(async (pageToken) => {
    const page = await registry.listRoutes({ pageToken });
    return [page.routes.map(viewOf), page.nextPageToken];
  });
  return createListing({
    body: { routes },
    columns: EXTRA_COLUMNS,
    rows: routes,
    notes: [
      routes.length === 0 &&
      'There are no extra routes: "stellar-net route add CIDR TARGET" adds one',
    ],
  });
}

const EXTRA_COLUMNS: Columns<View<Route>> = {
  DESTINATION: ({ cidr }) => cidr,
  TARGET: ({ target }) => target,
  ADDED: ({ addedAt }) => age(addedAt),
};

const HOST_COLUMNS: Columns<View<HostRoute>> = {
  DESTINATION: ({ cidr }) => cidr,
  "NEXT HOP": ({ target }) => target,
  FROM: ({ node }) => node ?? "extra",
  STATE: ({ state }) => state,
  // The first column has the destination already.
  ACTUAL: ({ cidr, actual }) =>
    actual.map((text) =>
      text.startsWith(`${cidr} `) ? text.slice(cidr.length + 1) : text
    ).join("; "),
  WHY: ({ state, why }) => state === "installed" ? "" : why ?? "",
};

/** Lists the routes that this host should have, those in the kernel, and the reasons for differences. */
async function listHostRoutes(call: Call): Promise<Listing> {
  const view = await readHostRoutes(call);
  const { routes } = view;
  return createListing({
    body: { ...view },
    columns: HOST_COLUMNS,
    rows: routes,
    notes: [
      routes.length === 0 &&
      "This host knows no other node with a subnet, and no extra routes",
      ...stateNotes(view),
    ],
  });
}

/** The routes of a host, of all pages. */
type HostRoutesView = Omit<
  View<ListHostRoutesResponse>,
  "nextPageToken" | "totalSize"
>;

async function readHostRoutes(call: Call): Promise<HostRoutesView> {
  const { agent } = call.clients();
  let first: HostRoutesView | undefined;
  const routes = await readPages(async (pageToken) => {
    const { nextPageToken, totalSize: _, ...page } = viewOf(
      await agent.listHostRoutes({ pageToken }),
    );
    first ??= page;
    return [page.routes, nextPageToken];
  });
  return { ...first!, routes };
}

function stateNotes(
  { mode, error }: HostRoutesView,
): string[] {
  return [
    ...mode === "off"
      ? [
        "Routes are off: the agent neither reads nor changes the kernel's; " +
        'start it with "--routes plan" or "--routes apply" to change that',
      ]
      : [],
    ...error === null ? [] : [error],
  ];
}
