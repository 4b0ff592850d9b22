import type { AgentConfig } from "../../config/config.ts";
import { NetError } from "../../base/error.ts";
import { setVariables } from "../../install/plan/agent_env.ts";
import {
  CONFLIST_PATH,
  ENV_PATH,
  programPath,
  UNIT_NAME,
  UNIT_PATH,
  WANTED_PATH,
} from "../../install/plan/layout.ts";
import type { InstallPlan } from "../../install/plan/plan.ts";
import { AGENT } from "./agent.ts";
import type { Call, CommandSpec } from "../framework/call.ts";
import { JSON_OUTPUT } from "../framework/target.ts";
import { PLUGIN_DIR, readFamilies } from "./cni.ts";
import {
  answerSteps,
  carryOut,
  configOf,
  DRY_RUN,
  FORCE,
  givenVariables,
  planItems,
  PREFIX,
  readManifest,
  ROOT,
  saveManifest,
  SKIP_CNI,
  type Target,
} from "./install_items.ts";
import type { InstallIo } from "../../install/port.ts";

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
