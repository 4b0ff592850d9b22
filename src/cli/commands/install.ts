import { parseAbsolutePath } from "../framework/parsers.ts";
import { NetError } from "../../base/error.ts";
import { formatConflist } from "../../cni/text/conflist.ts";
import type { AgentConfig } from "../../config/config.ts";
import {
  parseEnvironment,
  setVariables,
  type Variables,
} from "../../install/plan/agent_env.ts";
import {
  describeOperation,
  type FileOperation,
  type Found,
  type Item,
  type Kept,
} from "../../install/plan/item.ts";
import {
  CONFLIST_PATH,
  ENV_PATH,
  folderOf,
  MANIFEST_PATH,
  programPath,
  UNIT_NAME,
  UNIT_PATH,
  WANTED_PATH,
} from "../../install/plan/layout.ts";
import {
  type Choices,
  type Entry,
  formatManifest,
  type Manifest,
  parseManifest,
} from "../../install/plan/manifest.ts";
import { type InstallPlan, planInstall } from "../../install/plan/plan.ts";
import { extraFolders, formatUnit } from "../../install/plan/unit.ts";
import type { HostFiles, InstallIo } from "../../install/port.ts";
import { Call, type CommandSpec } from "../framework/call.ts";
import {
  destructiveFlag,
  environmentName,
  type Flag,
  type FlagWithDefault,
  switchFlag,
} from "../framework/flag.ts";
import { JSON_OUTPUT } from "../framework/target.ts";
import { AGENT, readConfig } from "./agent.ts";
import { BRIDGE, NAME, PLUGIN_DIR, PLUGIN_NAMES, readFamilies } from "./cni.ts";

/** Reads the record of the installation; undefined where there is none. */
export async function readManifest(
  files: HostFiles,
): Promise<Manifest | undefined> {
  const text = await files.read(MANIFEST_PATH);
  return text === undefined ? undefined : parseManifest(text, MANIFEST_PATH);
}

/**
 * The agent's flags that were given, as environment variables.
 *
 * @throws {UsageError} when a value is not valid
 */
function givenVariables(call: Call): Variables {
  return new Map(
    AGENT.flags!.flatMap((flag) => {
      call.values(flag);
      const texts = call.given(flag);
      return texts ? [[environmentName(flag), texts.join(",")] as const] : [];
    }),
  );
}

/** The configuration of an agent with this environment file, checked as `agent` checks it. */
export function configOf(call: Call, text: string): AgentConfig {
  const env = Object.fromEntries(parseEnvironment(text));
  const input = {
    spec: AGENT,
    path: "stellar-net agent",
    operands: [],
    given: new Map<string, readonly string[]>(),
  };
  return readConfig(new Call(input, { ...call.io, env }));
}

/** The steps of an installation or removal, done or planned. */
export interface Steps {
  readonly operations: readonly FileOperation[];
  readonly kept: readonly Kept[];
  /** Commands of systemctl. */
  readonly commands: readonly (readonly string[])[];
  /** Changes of the kernel's network. */
  readonly network: readonly string[];
}

/** Answers with the steps. @param nothing the answer when there are none */
export function answerSteps(
  call: Call,
  steps: Steps,
  { isDryRun, nothing }: {
    readonly isDryRun: boolean;
    readonly nothing: string;
  },
): void {
  const { operations, kept, commands, network } = steps;
  const lines = [
    ...network.map((line) => `Network: ${line}`),
    ...operations.map(describeOperation),
    ...commands.map((words) => `Run systemctl ${words.join(" ")}`),
  ];
  call.answer({
    dryRun: isDryRun,
    operations: operations.map(({ kind, path }) => ({ kind, path })),
    kept,
    commands: commands.map((words) => ["systemctl", ...words]),
    network,
  }, lines.length === 0 ? [nothing] : lines);
  for (const { path, why } of kept) {
    call.note(`Kept "${path}": ${why}; use --force to replace or remove it`);
  }
  if (isDryRun) call.note("Nothing was changed: --dry-run");
}

/** Carries out operations. @returns the folders that it created */
export async function carryOut(
  files: HostFiles,
  operations: readonly FileOperation[],
): Promise<string[]> {
  const made: string[] = [];
  for (const operation of operations) {
    made.push(...await files.apply(operation));
  }
  return made;
}

/** Writes the record of the installation if it has changed. */
export async function saveManifest(
  files: HostFiles,
  manifest: Manifest,
): Promise<void> {
  const source = formatManifest(manifest);
  if (await files.read(MANIFEST_PATH) === source) return;
  await files.apply({ kind: "text", path: MANIFEST_PATH, mode: 0o644, source });
}

/** Operations that remove the folders of an installation without entries, innermost first. */
export function emptied(
  { folders }: Manifest,
  entries: readonly Entry[],
): FileOperation[] {
  const used = new Set(entries.map(({ path }) => folderOf(path)));
  return folders.toReversed().filter((path) => !used.has(path))
    .map((path) => ({ kind: "remove_empty", path }));
}

// The flags of `install` and `uninstall`, besides the agent's.

export const PREFIX: Flag<string> = {
  name: "prefix",
  value: "DIR",
  description: "install the program in DIR/bin",
  defaultNote: "the installed one, or /usr/local",
  completion: "directory",
  parse: parseAbsolutePath,
};

const SKIP_CNI: Flag<boolean> = switchFlag(
  "skip-cni",
  "leave out the CNI plugin and its configuration",
);

export const ROOT: FlagWithDefault<string> = {
  name: "root",
  value: "DIR",
  description:
    "folder that stands for the host's root, such as a mounted image",
  default: "/",
  completion: "directory",
  parse: parseAbsolutePath,
};

export const DRY_RUN: Flag<boolean> = switchFlag(
  "dry-run",
  "print the steps, but change nothing",
);

export const FORCE: Flag<boolean> = destructiveFlag(
  "force",
  "replace or remove files that were changed since the installation",
);

export const PURGE: Flag<boolean> = destructiveFlag(
  "purge",
  "also remove the state and the configuration",
);

export const TAKE_DOWN: Flag<boolean> = destructiveFlag(
  "take-down",
  "also remove the agent's routes, filter rules and bridge",
);

/** The program in a dry run from sources. */
const TO_BE_BUILT = "dist/stellar-net";

/** The host to install on. */
export interface Target {
  readonly io: InstallIo;
  readonly files: HostFiles;
  /** Folder that stands for the host's root; empty for this host. */
  readonly root: string;
  readonly isHere: boolean;
  /** Whether this host runs systemd. An image counts as a host that does. */
  readonly hasSystemd: boolean;
  readonly manifest: Manifest | undefined;
  readonly choices: Choices;
  readonly env: string;
  readonly config: AgentConfig;
}

/** Plans what to install and what to remove. */
async function planItems(
  call: Call,
  { target, families }: {
    readonly target: Target;
    readonly families: readonly (4 | 6)[];
  },
): Promise<InstallPlan> {
  const { files, manifest, choices } = target;
  const before = manifest?.entries ?? [];
  const plugins = choices.pluginDir === null
    ? []
    : PLUGIN_NAMES.map((name) => `${choices.pluginDir}/${name}`);
  const looked = await files.look(plugins);
  const items = [
    ...await serviceItems(target),
    ...choices.pluginDir === null
      ? []
      : await cniItems(call, { target, families, looked, plugins }),
  ];
  const paths = new Set([...items, ...before].map(({ path }) => path));
  return planInstall(items, {
    found: await files.look([...paths]),
    entries: before,
    force: call.value(FORCE) ?? false,
  });
}

async function serviceItems(target: Target): Promise<Item[]> {
  const { io, files, hasSystemd, choices, env, config } = target;
  const source = io.programPath;
  const program = programPath(choices.prefix);
  const unit = formatUnit({
    ...config,
    program,
    pluginDir: config.docker && folderOf(config.docker.pluginPath),
    ports: [...config.listen, ...config.metrics].map(({ port }) => port),
  });
  const text = async (path: string, mode: number, source: string) => ({
    ...{ kind: "text" as const, path, mode, source },
    digest: await files.digestOf(source),
  });
  return [
    {
      ...{ kind: "program", path: program, mode: 0o755, isOurs: true },
      source: source ?? TO_BE_BUILT,
      digest: source === undefined ? "" : await files.digestOfFile(source),
    },
    { ...await text(ENV_PATH, 0o600, env), isOurs: true },
    ...hasSystemd
      ? [
        ...extraFolders(config).map((path): Item => ({
          ...{ kind: "folder", path },
          mode: path === config.stateDir ? 0o700 : 0o755,
        })),
        { ...await text(UNIT_PATH, 0o644, unit), isOurs: false },
        {
          ...{ kind: "link" as const, path: WANTED_PATH, target: UNIT_PATH },
          isOurs: true,
        },
      ]
      : [],
  ];
}

async function cniItems(
  call: Call,
  { target, families, looked, plugins }: {
    readonly target: Target;
    readonly families: readonly (4 | 6)[];
    readonly looked: ReadonlyMap<string, Found>;
    readonly plugins: readonly string[];
  },
): Promise<Item[]> {
  const { files, root, isHere, choices, config } = target;
  const { cni } = call.io;
  const source = formatConflist({
    name: NAME.default,
    bridge: config.bridge ?? BRIDGE.default,
    socketPath: config.socketPath,
    families,
    mtuBytes: isHere ? await cni.uplinkMtu() : undefined,
    hasPortmap: await cni.hasPlugin(`${root}${choices.pluginDir}`, "portmap"),
  });
  const [own] = plugins;
  const program = programPath(choices.prefix);
  const native = await cni.nativePlugin({
    socketPath: config.socketPath,
    executable: program,
  });
  const digest = native === undefined ? "" : await files.digestOf(native);
  return [
    ...plugins.map((path): Item => ({
      path,
      ...native === undefined
        ? { kind: "link", target: program }
        : { kind: "text", mode: 0o755, source: native, digest },
      // The other name may be Stellar's own plugin, unless it is a copy of ours.
      isOurs: path === own || isCopy(looked.get(path), looked.get(own!)),
    })),
    {
      ...{ kind: "text", path: CONFLIST_PATH, mode: 0o644, source },
      digest: await files.digestOf(source),
      isOurs: false,
    },
  ];
}

function isCopy(a: Found | undefined, b: Found | undefined): boolean {
  return a?.kind === "file" && b?.kind === "file" && a.digest === b.digest;
}

const ASK_TIMEOUT_MS = 5_000;
const DEFAULT_PREFIX = "/usr/local";
/** States of a stopped unit. */
const IDLE = ["inactive", "failed"];
const NEW_ENV =
  `# The agent's flags as environment variables (stellar-net agent --help).
# After a change run "stellar-net install": it updates the unit and restarts the agent.
`;

export const INSTALL: CommandSpec = {
  name: "install",
  summary: "Install this program as a service, with the flags of its agent",
  action: "install this program",
  flags: [
    ...[PREFIX, PLUGIN_DIR, SKIP_CNI, ROOT, DRY_RUN, FORCE, JSON_OUTPUT],
    ...AGENT.flags!,
  ],
  examples: [
    "stellar-net install --network 10.0.0.0/8 --subnet-prefix 20",
    "stellar-net install --join https://198.18.0.1:9000 --token-file /etc/stellar-net/token --dry-run",
    "stellar-net install --root /mnt/image --skip-cni",
  ],
  run: install,
};

async function install(call: Call): Promise<void> {
  const io = await call.io.installer();
  const isDryRun = call.value(DRY_RUN) ?? false;
  if (io.programPath === undefined && !isDryRun) {
    throw new NetError(
      "failed_precondition",
      'Cannot install this program: it runs from its sources; run "deno task build", then "dist/stellar-net install"; --dry-run shows the steps',
    );
  }
  const target = await readTarget(call, io);
  const { files, isHere, hasSystemd, manifest, config } = target;
  const known = await askFamilies(call, target);
  let plan = await planItems(call, {
    target,
    families: known ?? guess(config),
  });
  const commands = await planCommands(plan, target);
  if (isDryRun) {
    return answerSteps(call, { ...plan, commands, network: [] }, {
      isDryRun,
      nothing: "Everything is in place",
    });
  }
  const made = [...manifest?.folders ?? []];
  const settle = async ({ operations, entries }: InstallPlan) => {
    made.push(...await carryOut(files, operations));
    const { version } = call.io;
    const { choices } = target;
    await saveManifest(files, { version, choices, entries, folders: made });
  };
  await settle(plan);
  for (const words of commands) await io.services.command(words);
  // The agent serves now, and knows the networks of the cluster that it joined.
  const families = known ?? await askFamilies(call, target);
  if (families && !known) {
    const { operations } = plan;
    plan = await planItems(call, {
      target: await readTarget(call, io),
      families,
    });
    await settle(plan);
    plan = { ...plan, operations: [...operations, ...plan.operations] };
  }
  answerSteps(call, { ...plan, commands, network: [] }, {
    isDryRun,
    nothing: "Everything is in place",
  });
  if (
    !families && target.choices.pluginDir !== null && config.join.length > 0
  ) {
    call.note(
      `"${CONFLIST_PATH}" routes ${
        guess(config).map((family) => `IPv${family}`).join(" and ")
      } only: if the cluster has both families, run "stellar-net install" again when the agent serves`,
    );
  }
  if (isHere && !hasSystemd) {
    call.note(
      `This host does not run systemd, so nothing starts the agent yet: make its init system run "set -a; . ${ENV_PATH}; exec ${
        programPath(target.choices.prefix)
      } agent", and restart it when it exits`,
    );
  }
}

async function readTarget(call: Call, io: InstallIo): Promise<Target> {
  const root = call.value(ROOT);
  const isHere = root === "/";
  const prefixed = isHere ? "" : root;
  const files = io.filesAt(root);
  const manifest = await readManifest(files);
  const named = call.value(PLUGIN_DIR);
  // A plugin that was left out last time stays out, unless a folder is given.
  const isLeftOut = call.value(SKIP_CNI) ??
    (named === undefined && manifest?.choices.pluginDir === null);
  const pluginDir = named ?? manifest?.choices.pluginDir ??
    await call.io.cni.findPluginDir(prefixed);
  const env = setVariables(
    await files.read(ENV_PATH) ?? NEW_ENV,
    givenVariables(call),
  );
  const config = configOf(call, env);
  for (const path of [config.stateDir, config.socketPath, pluginDir]) {
    if (path.startsWith("/")) continue;
    throw call.usage(
      `"${path}" is not an absolute path, which a service needs`,
    );
  }
  return {
    ...{ io, files, isHere, manifest, env, config, root: prefixed },
    hasSystemd: !isHere || await io.services.isThere(),
    choices: {
      prefix: call.value(PREFIX) ?? manifest?.choices.prefix ?? DEFAULT_PREFIX,
      pluginDir: isLeftOut ? null : pluginDir,
    },
  };
}

/** The commands with which systemd applies the changes. */
async function planCommands(
  { operations }: InstallPlan,
  { io, isHere, hasSystemd, choices }: Target,
): Promise<string[][]> {
  if (!isHere || !hasSystemd) return [];
  const changed = new Set(operations.map(({ path }) => path));
  const reload = [UNIT_PATH, WANTED_PATH].some((path) => changed.has(path));
  const state = await io.services.stateOf(UNIT_NAME);
  const restart = [UNIT_PATH, ENV_PATH, programPath(choices.prefix)]
    .some((path) => changed.has(path)) || IDLE.includes(state);
  return [
    ...reload ? [["daemon-reload"]] : [],
    // systemd does not start a unit that failed too often, unless it is reset.
    ...restart && state === "failed" ? [["reset-failed", UNIT_NAME]] : [],
    ...restart ? [["restart", UNIT_NAME]] : [],
  ];
}

/** The families of the cluster's networks; undefined when the agent does not answer. */
async function askFamilies(
  call: Call,
  { isHere, config }: Target,
): Promise<readonly (4 | 6)[] | undefined> {
  if (!isHere) return undefined;
  const { socketPath } = config;
  try {
    return await readFamilies(
      call.io.connect({ socketPath }, {
        timeoutMs: ASK_TIMEOUT_MS,
        note: (line) => call.note(line),
      }),
    );
  } catch (error) {
    if (error instanceof NetError) return undefined;
    throw error;
  }
}

/** The families of the networks in the configuration, or of the default network. */
function guess({ networks }: AgentConfig): (4 | 6)[] {
  const families = networks.map(({ network }) => network.family);
  return families.length === 0 ? [4] : [...new Set(families)];
}
