import type { RebuildSummary } from "../../backup/port.ts";
import type { StoreChoice } from "../../config/config.ts";
import { formatPrefix } from "../../net/prefix.ts";
import type { CommandSpec, GroupSpec } from "../framework/call.ts";
import {
  destructiveFlag,
  type Flag,
  type FlagWithDefault,
} from "../framework/flag.ts";
import { parsePath } from "../framework/parsers.ts";
import { JSON_OUTPUT, SOCKET } from "../framework/target.ts";
import { formatColumns } from "../framework/text.ts";
import { OFFLINE_STATE, readStateDir } from "./agent.ts";
import { SETTLE } from "./backup.ts";
import { parseLasting, readAccess, STORE_ACCESS_FLAGS } from "./store_flags.ts";

const CONFIRM = destructiveFlag(
  "yes",
  "rebuild it; without this flag, only report what is known",
);

const REPORT: Flag<string> = {
  name: "report",
  value: "FILE",
  description:
    "backup of a surviving member, made with stellar-net backup there; with one, the state may be new",
  completion: "file",
  repeatable: true,
  parse: parsePath,
};

const STORE: FlagWithDefault<StoreChoice> = {
  name: "store",
  value: "URL",
  description: "store of the new registry, as in the agent's --store",
  default: "kv:",
  parse: parseLasting,
};

const REBUILD: CommandSpec = {
  name: "rebuild",
  summary:
    "Rebuild a registry that was lost without a backup, on a stopped member or a new host",
  action: "rebuild the registry",
  flags: [
    OFFLINE_STATE,
    SOCKET,
    REPORT,
    STORE,
    ...STORE_ACCESS_FLAGS,
    SETTLE,
    CONFIRM,
    JSON_OUTPUT,
  ],
  examples: [
    "stellar-net registry rebuild",
    "stellar-net registry rebuild --yes --settle 10m",
    "stellar-net registry rebuild --report /var/backups/host2.jsonl --report /var/backups/host3.jsonl",
    "stellar-net registry rebuild --store etcd://etcd1:2379,etcd2:2379 --yes",
  ],
  run: async (call) => {
    const stateDir = await readStateDir(call);
    const dryRun = !(call.value(CONFIRM) ?? false);
    const settleMs = call.value(SETTLE);
    const reports = call.values(REPORT);
    const store = readAccess(call, call.value(STORE), [STORE]);
    const request = { stateDir, reports, store, settleMs, dryRun };
    const summary = await call.io.rebuild(request);
    const { nodes, conflicts, ...rest } = summary;
    const listed = nodes.map(({ subnets, ...node }) => ({
      ...node,
      subnets: subnets.map(formatPrefix),
    }));
    const contested = conflicts.map(({ subnet, ...claims }) => ({
      ...{ subnet: formatPrefix(subnet), ...claims },
    }));
    const answer = { stateDir, dryRun, ...rest, nodes: listed };
    call.answer({ ...answer, conflicts: contested }, [
      dryRun
        ? `The registry can be rebuilt in ${summary.store}:`
        : `Rebuilt the registry in ${summary.store}:`,
      ...formatColumns(describe(summary)),
    ]);
    for (const { subnet, kept, keptBy, node, by } of contested) {
      call.note(
        `Conflict: ${subnet} is ${kept}'s as ${keptBy} knows, and ${node}'s as ${by} knows. ${keptBy} knows the later revision: the registry gives it to ${kept}, and fences ${node} if it comes back with it`,
      );
    }
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
        : `Start the agent ${
          store === "file" ? "" : `with --store ${summary.store} and `
        }without --join, and every other agent with --join and the URL of this one; with TLS, each needs a token of the new authority`,
    );
  },
};

export const REGISTRY: GroupSpec = {
  name: "registry",
  summary: "Rebuild a registry that was lost without a backup",
  commands: [REBUILD],
};

function describe(
  { clusterId, node, revision, reports, nodes, routes }: RebuildSummary,
): [string, string][] {
  return [
    ["  Cluster", clusterId],
    ["  Node", node || "none, only reports"],
    ["  Revision", String(revision)],
    [
      "  Reports",
      reports.map(({ node, revision }) => `${node} (${revision})`).join(" "),
    ],
    ["  Extra routes", String(routes)],
    ...nodes.map(({ name, subnets }): [string, string] => [
      `  ${name}`,
      subnets.map(formatPrefix).join(" ") || "no subnet",
    ]),
  ];
}
