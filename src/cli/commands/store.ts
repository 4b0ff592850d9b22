import type { StoreChoice } from "../../config/config.ts";
import type { MigrationProgress, MigrationSummary } from "../../backup/port.ts";
import type { Call, CommandSpec, GroupSpec } from "../framework/call.ts";
import {
  type Flag,
  type FlagWithDefault,
  switchFlag,
} from "../framework/flag.ts";
import { JSON_OUTPUT, SOCKET } from "../framework/target.ts";
import { formatColumns } from "../framework/text.ts";
import { KEEP_HISTORY, OFFLINE_STATE, readStateDir } from "./agent.ts";
import { parseLasting, readAccess, STORE_ACCESS_FLAGS } from "./store_flags.ts";

const FROM: FlagWithDefault<StoreChoice> = {
  name: "from",
  value: "URL",
  description: "store that has the registry, as in the agent's --store",
  default: "kv:",
  parse: parseLasting,
};

const TO: Flag<StoreChoice> = {
  name: "to",
  value: "URL",
  description: "store to move it to, without a registry",
  defaultNote: "none, required",
  parse: parseLasting,
};

const DRY_RUN = switchFlag(
  "dry-run",
  "check everything and report, but move nothing",
);

const MIGRATE: CommandSpec = {
  name: "migrate",
  summary:
    "Move the cluster's registry to another store, or resume an interrupted move",
  action: "move the registry",
  flags: [
    FROM,
    TO,
    OFFLINE_STATE,
    SOCKET,
    ...STORE_ACCESS_FLAGS,
    DRY_RUN,
    JSON_OUTPUT,
  ],
  examples: [
    "stellar-net store migrate --from kv: --to etcd://etcd1:2379,etcd2:2379 --dry-run",
    "stellar-net store migrate --from etcd://etcd1:2379,etcd2:2379 --to kv:",
  ],
  run: async (call) => {
    const stateDir = await readStateDir(call);
    const dryRun = call.value(DRY_RUN) ?? false;
    const [from, to] = readStores(call);
    const summary = await call.io.migrate({
      ...{ from, to, stateDir, dryRun },
      onProgress: tellProgress(call),
    });
    call.answer({ dryRun, ...summary }, [
      dryRun
        ? `The registry in ${summary.from} can be moved to ${summary.to}:`
        : `Moved the registry from ${summary.from} to ${summary.to}:`,
      ...formatColumns(describe(summary)),
    ]);
    if (dryRun) return;
    call.note(
      to === "file"
        ? "Start the agent of this host with --store kv:, and the other agents that hosted the registry with --join and its URL"
        : `Start every agent that hosts the registry with --store ${summary.to}; each keeps the addresses in its own --state`,
    );
  },
};

const COMPACTED_HISTORY: Flag<number> = {
  name: KEEP_HISTORY.name,
  value: "DURATION",
  description: "first remove records of the history that are older",
  defaultNote: "none is removed",
  parse: KEEP_HISTORY.parse,
};

const COMPACT: CommandSpec = {
  name: "compact",
  summary:
    "Give the free space of a stopped agent's state file back to the disk",
  action: "compact the state file",
  flags: [OFFLINE_STATE, SOCKET, COMPACTED_HISTORY, JSON_OUTPUT],
  examples: [
    "stellar-net store compact",
    "stellar-net store compact --keep-history 7d",
  ],
  run: async (call) => {
    const stateDir = await readStateDir(call);
    const keepHistoryMs = call.value(COMPACTED_HISTORY);
    const summary = await call.io.compact({ stateDir, keepHistoryMs });
    const { file, bytesBefore, bytesAfter, entries, removed } = summary;
    call.answer({ ...summary }, [
      `Compacted ${file}:`,
      ...formatColumns([
        [
          "  Size",
          `${formatMb(bytesBefore)} before, ${formatMb(bytesAfter)} now`,
        ],
        ["  Entries", String(entries)],
        ["  History", `${removed} records removed`],
      ]),
    ]);
    call.note("Start the agent again");
  },
};

export const STORE: GroupSpec = {
  name: "store",
  summary: "Move the cluster's registry between stores, or compact a store",
  commands: [MIGRATE, COMPACT],
};

function formatMb(bytes: number): string {
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}

function readStores(call: Call): [from: StoreChoice, to: StoreChoice] {
  const from = call.value(FROM);
  const to = call.value(TO);
  if (to === undefined) {
    throw call.usage("it needs --to, the store to move the registry to");
  }
  if (from === "file" && to === "file") {
    throw call.usage('--from and --to are both "kv:": name two stores');
  }
  return [
    readAccess(call, from, [FROM, TO]),
    readAccess(call, to, [FROM, TO]),
  ];
}

/** Notes the progress, in tenths. */
function tellProgress(call: Call): (progress: MigrationProgress) => void {
  let told = 0;
  return (progress) => {
    if (progress.kind === "frozen") {
      call.note("No agent uses the registry any more, copying it");
    }
    if (progress.kind === "verified") {
      call.note("Compared every entry of both stores: they are equal");
    }
    if (progress.kind !== "copied") return;
    const { entries, total } = progress;
    const tenth = Math.floor(10 * entries / Math.max(1, total));
    if (tenth <= told) return;
    told = tenth;
    call.note(`Copied ${entries} of ${total} entries`);
  };
}

function describe(summary: MigrationSummary): [string, string][] {
  const { nodes, subnets, routes, held, history, entries, bytes } = summary;
  return [
    ["  Cluster", summary.clusterId],
    ["  Nodes", String(nodes)],
    ["  Subnets", `${subnets} owned, reserved or released`],
    ["  Extra routes", String(routes)],
    ["  Addresses", `${held} held on nodes without an agent`],
    ["  History", `${history} records`],
    ["  Entries", `${entries}, ${bytes} bytes`],
    ...summary.isResumed
      ? [["  Resumed", "after an interruption"] as [string, string]]
      : [],
  ];
}
