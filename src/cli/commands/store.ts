import type { StoreChoice } from "../../config/config.ts";
import type { MigrationProgress, MigrationSummary } from "../../backup/port.ts";
import { quote } from "../../net/address.ts";
import { STATE } from "./agent_flags.ts";
import type { Call, CommandSpec, GroupSpec } from "../framework/call.ts";
import { JSON_OUTPUT } from "../framework/client.ts";
import { parseSwitch } from "../framework/flags.ts";
import type { Flag } from "../framework/flag.ts";
import { readAccess, STORE_ACCESS_FLAGS } from "./store_flags.ts";
import { parseStore } from "./store_url.ts";
import { formatColumns } from "../framework/table.ts";

const FROM: Flag<StoreChoice> & { readonly default: string } = {
  name: "from",
  value: "URL",
  description: "store that the registry is in, as --store of the agent",
  default: "kv:",
  parse: parseLasting,
};

const TO: Flag<StoreChoice> = {
  name: "to",
  value: "URL",
  description: "store that it moves to, with no registry in it",
  defaultNote: "none, it has to be given",
  parse: parseLasting,
};

const DRY_RUN: Flag<boolean> = {
  name: "dry-run",
  description: "check everything, and say what would be moved",
  parse: parseSwitch,
};

const MIGRATE: CommandSpec = {
  name: "migrate",
  summary: "Move the cluster's registry to another store, or go on with that",
  action: "move the registry",
  flags: [FROM, TO, STATE, ...STORE_ACCESS_FLAGS, DRY_RUN, JSON_OUTPUT],
  examples: [
    "stellar-net store migrate --from kv: --to etcd://etcd1:2379,etcd2:2379 --dry-run",
    "stellar-net store migrate --from etcd://etcd1:2379,etcd2:2379 --to kv:",
  ],
  run: async (call) => {
    const stateDir = call.value(STATE);
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
        ? "Start the agent of this host with --store kv:, and those that hosted the registry besides with --join and its URL"
        : `Start every agent that is to host the registry with --store ${summary.to}; each goes on with the addresses in its own --state`,
    );
  },
};

export const STORE: GroupSpec = {
  name: "store",
  summary: "Where the cluster's registry is kept",
  examples: MIGRATE.examples,
  commands: [MIGRATE],
};

function readStores(call: Call): [from: StoreChoice, to: StoreChoice] {
  const from = call.value(FROM);
  const to = call.value(TO);
  if (to === undefined) {
    throw call.usage("it needs --to, the store that the registry moves to");
  }
  if (from === "file" && to === "file") {
    throw call.usage('--from and --to are both "kv:": name two stores');
  }
  return [
    readAccess(call, from, [FROM, TO]),
    readAccess(call, to, [FROM, TO]),
  ];
}

/** Parses where a registry can be kept. */
function parseLasting(text: string): StoreChoice {
  const choice = parseStore(text);
  if (choice !== "memory") return choice;
  throw new RangeError(
    `${quote(text)} is lost at the end: write "kv:" or "etcd://h1:2379"`,
  );
}

/** Tells how far it has come, in tenths. */
function tellProgress(call: Call): (progress: MigrationProgress) => void {
  let told = 0;
  return (progress) => {
    if (progress.kind === "frozen") {
      call.note("Nobody uses the registry any more, copying it");
    }
    if (progress.kind === "verified") {
      call.note("Compared every entry of both stores: they are the same");
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
