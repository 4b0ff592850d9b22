import type { RebuildSummary } from "../../backup/port.ts";
import { formatPrefix } from "../../net/prefix.ts";
import type { CommandSpec, GroupSpec } from "../framework/call.ts";
import { destructiveFlag } from "../framework/flag.ts";
import { JSON_OUTPUT, SOCKET } from "../framework/target.ts";
import { formatColumns } from "../framework/text.ts";
import { OFFLINE_STATE, readStateDir } from "./agent.ts";
import { SETTLE } from "./backup.ts";

const CONFIRM = destructiveFlag(
  "yes",
  "rebuild it; without this flag, only report what is known",
);

const REBUILD: CommandSpec = {
  name: "rebuild",
  summary:
    "Rebuild a registry that was lost without a backup, in the state of a stopped member",
  action: "rebuild the registry",
  flags: [OFFLINE_STATE, SOCKET, SETTLE, CONFIRM, JSON_OUTPUT],
  examples: [
    "stellar-net registry rebuild",
    "stellar-net registry rebuild --yes --settle 10m",
  ],
  run: async (call) => {
    const stateDir = await readStateDir(call);
    const dryRun = !(call.value(CONFIRM) ?? false);
    const settleMs = call.value(SETTLE);
    const summary = await call.io.rebuild({ stateDir, settleMs, dryRun });
    const { nodes, ...rest } = summary;
    const listed = nodes.map(({ subnets, ...node }) => ({
      ...node,
      subnets: subnets.map(formatPrefix),
    }));
    call.answer({ stateDir, dryRun, ...rest, nodes: listed }, [
      dryRun
        ? `The registry can be rebuilt in ${stateDir}:`
        : `Rebuilt the registry in ${stateDir}:`,
      ...formatColumns(describe(summary)),
    ]);
    const lost = nodes.filter(({ hasAgent }) => !hasAgent);
    if (lost.length > 0) {
      call.note(
        `The addresses of nodes without an agent are lost: ${
          lost.map(({ name }) => name).join(", ")
        }`,
      );
    }
    call.note(
      dryRun
        ? "Make sure that the registry's host never starts again, then run the command with --yes"
        : "Start the agent without --join, and every other agent with --join and the URL of this one; with TLS, each needs a token of the new authority",
    );
  },
};

export const REGISTRY: GroupSpec = {
  name: "registry",
  summary: "Rebuild a registry that was lost without a backup",
  commands: [REBUILD],
};

function describe(
  { clusterId, node, revision, nodes, routes }: RebuildSummary,
): [string, string][] {
  return [
    ["  Cluster", clusterId],
    ["  Node", node],
    ["  Revision", String(revision)],
    ["  Extra routes", String(routes)],
    ...nodes.map(({ name, subnets }): [string, string] => [
      `  ${name}`,
      subnets.map(formatPrefix).join(" ") || "no subnet",
    ]),
  ];
}
