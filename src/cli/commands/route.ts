import type { Call, CommandSpec, GroupSpec } from "../framework/call.ts";
import { CLIENT_FLAGS } from "../framework/client.ts";
import {
  parseAddressText,
  parsePrefixText,
  parseSwitch,
} from "../framework/flags.ts";
import { listHostRoutes, PLAN } from "./route_host.ts";
import { type RouteView, viewRoute } from "./route_views.ts";
import type { Flag, Operand } from "../framework/flag.ts";
import { formatTable } from "../framework/table.ts";
import { formatAge } from "../framework/text.ts";

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

const OPTIONAL_TARGET: Operand<string> & { readonly optional: true } = {
  ...TARGET,
  description: "delete it only if this is its next hop",
  optional: true,
};

const EXTRA: Flag<boolean> = {
  name: "extra",
  description: "list the extra routes alone, as the registry has them",
  parse: parseSwitch,
};

const LIST: CommandSpec = {
  name: "list",
  summary: "List the routes that this host should have, and what it has",
  action: "list routes",
  flags: [EXTRA, ...CLIENT_FLAGS],
  examples: [
    "stellar-net route list",
    "stellar-net route list --extra",
    "stellar-net route list --json",
  ],
  run: (call) => call.value(EXTRA) ? listExtra(call) : listHostRoutes(call),
};

const ADD: CommandSpec = {
  name: "add",
  summary: "Add an extra route for every node",
  action: "add the route",
  operands: [CIDR, TARGET],
  flags: CLIENT_FLAGS,
  examples: ["stellar-net route add 192.0.2.0/24 172.16.0.9"],
  run: async (call) => {
    const request = {
      cidr: call.operand(CIDR),
      target: call.operand(TARGET),
    };
    const { route } = await call.clients().registry.addRoute(request);
    const views = route ? [viewRoute(route)] : [];
    answerRoutes(call, views, { route: views[0] ?? null });
  },
};

const DELETE: CommandSpec = {
  name: "delete",
  summary: "Delete an extra route; one that is not there is no error",
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
    await call.clients().registry.deleteRoute({ cidr, target });
    call.answer({ cidr }, [`Deleted ${cidr}`]);
  },
};

export const ROUTE: GroupSpec = {
  name: "route",
  summary: "List this host's routes, add and delete extra ones",
  examples: ["stellar-net route list", "stellar-net route plan"],
  commands: [LIST, PLAN, ADD, DELETE],
};

async function listExtra(call: Call): Promise<void> {
  const { routes } = await call.clients().registry.listRoutes({});
  answerRoutes(call, routes.map(viewRoute));
  if (routes.length === 0) {
    call.note(
      'There are no extra routes: "stellar-net route add CIDR TARGET" adds one',
    );
  }
}

function answerRoutes(
  call: Call,
  routes: readonly RouteView[],
  body: Readonly<Record<string, unknown>> = { routes },
): void {
  const rows = routes.map(({ cidr, target, addedAt }) => [
    cidr,
    target,
    formatAge(addedAt, call.io.now()),
  ]);
  call.answer(body, formatTable(["DESTINATION", "TARGET", "ADDED"], rows));
}
