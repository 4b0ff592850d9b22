import type { HostFiles } from "../../install/port.ts";
import type { FileOperation, Kept } from "../../install/plan/item.ts";
import {
  CACHE_DIR,
  CONFIG_DIR,
  ENV_PATH,
  folderOf,
  MANIFEST_PATH,
  UNIT_NAME,
  UNIT_PATH,
  UNPACKED_DIR,
  WANTED_PATH,
} from "../../install/plan/layout.ts";
import type { Entry, Manifest } from "../../install/plan/manifest.ts";
import { planRemoval } from "../../install/plan/plan.ts";
import type { AgentConfig } from "../../config/config.ts";
import type { Call, CommandSpec } from "../framework/call.ts";
import { JSON_OUTPUT } from "../framework/target.ts";
import { BRIDGE } from "./cni.ts";
import {
  answerSteps,
  carryOut,
  configOf,
  DRY_RUN,
  emptied,
  FORCE,
  PURGE,
  readManifest,
  ROOT,
  saveManifest,
  TAKE_DOWN,
} from "./install.ts";

/** The file by which a state folder is recognised. */
const STATE_FILE = "state.db";

export const UNINSTALL: CommandSpec = {
  name: "uninstall",
  summary: "Stop the service and remove the installed files",
  action: "uninstall this program",
  flags: [PURGE, TAKE_DOWN, ROOT, DRY_RUN, FORCE, JSON_OUTPUT],
  examples: [
    "stellar-net uninstall --dry-run",
    "stellar-net uninstall --take-down --purge",
  ],
  run: uninstall,
};

async function uninstall(call: Call): Promise<void> {
  const io = await call.io.installer();
  const isDryRun = call.value(DRY_RUN) ?? false;
  const isHere = call.value(ROOT) === "/";
  if (!isHere && call.value(TAKE_DOWN)) {
    throw call.usage(
      `${call.originOf(TAKE_DOWN)} does not go with ${
        call.originOf(ROOT)
      }: an image has no network to take down; remove one of the two`,
    );
  }
  const files = io.filesAt(call.value(ROOT));
  const manifest = await readManifest(files);
  const config = configOf(call, await files.read(ENV_PATH) ?? "");
  const plan = await planAll(call, { files, manifest, config });
  const hasService = isHere && await io.services.isThere();
  const runs = hasService && manifest !== undefined &&
    await io.services.stateOf(UNIT_NAME) !== "inactive";
  const commands = runs ? [["stop", UNIT_NAME]] : [];
  if (!isDryRun) {
    for (const words of commands) await io.services.command(words);
  }
  const network = call.value(TAKE_DOWN)
    ? await io.takeDown({
      protocol: config.routeProtocol,
      bridge: config.bridge ?? BRIDGE.default,
      isDryRun,
    })
    : { done: [], left: [] };
  const reload = hasService &&
    plan.operations.some(({ path }) => [UNIT_PATH, WANTED_PATH].includes(path));
  if (reload) commands.push(["daemon-reload"]);
  if (!isDryRun) {
    await carryOut(files, plan.operations);
    // The next run knows the files that remain.
    if (manifest && plan.entries.length > 0) {
      await saveManifest(files, { ...manifest, entries: plan.entries });
    }
    await carryOut(files, plan.folders);
    if (reload) await io.services.command(["daemon-reload"]);
  }
  answerSteps(call, { ...plan, commands, network: network.done }, {
    isDryRun,
    nothing: "There is nothing to remove",
  });
  for (const line of network.left) call.note(`Not taken down: ${line}`);
  if (manifest && !call.value(PURGE)) {
    call.note(`The state stays in "${config.stateDir}": --purge removes it`);
  }
}

interface Plan {
  readonly operations: readonly FileOperation[];
  /** Removals of folders that are empty then. */
  readonly folders: readonly FileOperation[];
  readonly kept: readonly Kept[];
  /** Installed entries that remain. */
  readonly entries: readonly Entry[];
}

async function planAll(
  call: Call,
  { files, manifest, config }: {
    readonly files: HostFiles;
    readonly manifest: Manifest | undefined;
    readonly config: AgentConfig;
  },
): Promise<Plan> {
  const isPurge = call.value(PURGE) ?? false;
  const before = manifest?.entries ?? [];
  const found = await files.look([
    ...before.map(({ path }) => path),
    ...[ENV_PATH, MANIFEST_PATH, CACHE_DIR, UNPACKED_DIR],
    folderOf(config.socketPath),
    ...[config.stateDir, `${config.stateDir}/${STATE_FILE}`],
  ]);
  const isThere = (path: string) =>
    (found.get(path)?.kind ?? "absent") !== "absent";
  const { operations, kept, entries } = planRemoval({
    found,
    // --purge removes the configuration, changed or not.
    entries: before.filter(({ path }) => !isPurge || path !== ENV_PATH),
    force: call.value(FORCE) ?? false,
  });
  const trees = [
    CACHE_DIR,
    UNPACKED_DIR,
    // systemd created it for the socket; a link to the queue remains in it.
    ...config.socketPath.startsWith("/run/stellar-net/")
      ? [folderOf(config.socketPath)]
      : [],
    // Remove nothing but a state folder, whatever a variable says.
    ...isPurge && isThere(`${config.stateDir}/${STATE_FILE}`)
      ? [config.stateDir]
      : [],
  ];
  const isDone = entries.length === 0;
  return {
    operations: [
      ...operations,
      ...isPurge && isThere(ENV_PATH)
        ? [{ kind: "remove", path: ENV_PATH } as const]
        : [],
      ...trees.filter((path) => manifest || isPurge ? isThere(path) : false)
        .map((path) => ({ kind: "remove_tree", path }) as const),
      ...isDone && isThere(MANIFEST_PATH)
        ? [{ kind: "remove", path: MANIFEST_PATH } as const]
        : [],
    ],
    folders: manifest
      ? emptied(manifest, entries).filter(({ path }) =>
        isDone || path !== CONFIG_DIR
      )
      : [],
    kept,
    entries,
  };
}
