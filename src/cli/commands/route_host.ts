import type { Call, CommandSpec } from "../framework/call.ts";
import { CLIENT_FLAGS } from "../framework/client.ts";
import {
  type HostRoutesView,
  type HostRouteView,
  viewHostRoutes,
} from "./route_views.ts";
import { formatTable } from "../framework/table.ts";

/** The command that says what would change of this host's routes. */
export const PLAN: CommandSpec = {
  name: "plan",
  summary: "Print the commands that would put this host's routes right",
  action: "plan routes",
  flags: CLIENT_FLAGS,
  examples: ["stellar-net route plan", "stellar-net route plan --json"],
  run: async (call) => {
    const view = await askRoutes(call);
    const { mode, commands, lookedAt, error } = view;
    call.answer({ mode, commands, lookedAt, error }, commands);
    if (commands.length === 0 && mode !== "off" && error === null) {
      call.note("Nothing to change");
    }
    noteState(call, view);
  },
};

/** Lists the routes that this host should have, what the kernel has, and why not. */
export async function listHostRoutes(call: Call): Promise<void> {
  const view = await askRoutes(call);
  const header = [
    "DESTINATION",
    "NEXT HOP",
    "FROM",
    "STATE",
    "ACTUAL",
    "WHY",
  ];
  call.answer({ ...view }, formatTable(header, view.routes.map(formatRow)));
  if (view.routes.length === 0) {
    call.note(
      "No other node has a subnet that is known here, and there are no extra routes",
    );
  }
  noteState(call, view);
}

async function askRoutes(call: Call): Promise<HostRoutesView> {
  return viewHostRoutes(await call.clients().agent.listHostRoutes({}));
}

function formatRow(route: HostRouteView): string[] {
  const { cidr, target, node, state, actual, why } = route;
  return [
    cidr,
    target,
    node ?? "extra",
    state,
    // The destination stands in the first column already.
    actual.map((text) =>
      text.startsWith(`${cidr} `) ? text.slice(cidr.length + 1) : text
    ).join("; "),
    state === "installed" ? "" : why ?? "",
  ];
}

function noteState(call: Call, { mode, error }: HostRoutesView): void {
  if (mode === "off") {
    call.note(
      "Routes are off: the agent neither reads nor changes the kernel's; " +
        '"--routes plan" or "--routes apply" at its start says otherwise',
    );
  }
  if (error !== null) call.note(error);
}
