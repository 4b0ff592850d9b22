import type { RestoreSummary } from "../../backup/port.ts";
import { STATE } from "./agent_flags.ts";
import { JSON_OUTPUT } from "../framework/client.ts";
import { parseDuration, parsePath, parseSwitch } from "../framework/flags.ts";
import type { CommandSpec } from "../framework/call.ts";
import type { Flag, Operand } from "../framework/flag.ts";
import { formatColumns } from "../framework/table.ts";
import { formatUtc } from "../framework/text.ts";

const FILE: Operand<string> = {
  name: "FILE",
  description: "a backup, as the command backup writes it",
  completion: "file",
  parse: parsePath,
};

const DRY_RUN: Flag<boolean> = {
  name: "dry-run",
  description: "check everything, and say what would be restored",
  parse: parseSwitch,
};

const SETTLE: Flag<number> & { readonly default: string } = {
  name: "settle",
  value: "DURATION",
  description:
    "how long the registry then gives subnets only to nodes that have them",
  default: "60s",
  parse: parseDuration,
};

export const RESTORE: CommandSpec = {
  name: "restore",
  summary:
    "Restore the state of a stopped agent, here or on the host that replaces this one",
  action: "restore the state",
  operands: [FILE],
  flags: [STATE, SETTLE, DRY_RUN, JSON_OUTPUT],
  examples: [
    "stellar-net restore /var/backups/stellar-net.jsonl --dry-run",
    "stellar-net restore /var/backups/stellar-net.jsonl --settle 10m",
  ],
  run: async (call) => {
    const file = call.operand(FILE);
    const stateDir = call.value(STATE);
    const dryRun = call.value(DRY_RUN) ?? false;
    const settleMs = call.value(SETTLE);
    const summary = await call.io.restore({ file, stateDir, settleMs, dryRun });
    const { header: { stellarNetBackup: _, ...header }, ...counts } = summary;
    call.answer({ file, stateDir, dryRun, ...header, ...counts }, [
      dryRun
        ? `${file} can be restored to ${stateDir}:`
        : `Restored ${file} to ${stateDir}:`,
      ...formatColumns(describe(summary)),
    ]);
    if (dryRun) return;
    call.note(
      `Start the agent with --node ${header.node}. It is the same node to the cluster: ` +
        "the host that the backup is of must not run any more",
    );
    call.note(
      "Containers that were started after the backup are not known: stop those that still run on this host before the agent starts",
    );
  },
};

function describe(summary: RestoreSummary): [string, string][] {
  const { header, hasRegistry, nodes, held, history } = summary;
  return [
    ["  Node", header.node],
    ["  Instance", header.instance],
    ["  Cluster", header.cluster || "-"],
    ["  Made", `${formatUtc(header.takenAt)} by version ${header.program}`],
    ["  Schema", String(header.schema)],
    ["  Registry", hasRegistry ? `${nodes} nodes` : "not in it"],
    ["  Addresses", `${held} held`],
    ["  History", `${history} records`],
  ];
}
