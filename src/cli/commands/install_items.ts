import type { AgentConfig } from "../../config/config.ts";
import { formatConflist } from "../../cni/text/conflist.ts";
import type { HostFiles } from "../../install/host_files.ts";
import type { Found, Item } from "../../install/plan/item.ts";
import {
  CONFLIST_PATH,
  ENV_PATH,
  programPath,
  UNIT_PATH,
  WANTED_PATH,
} from "../../install/plan/layout.ts";
import type { Choices, Manifest } from "../../install/plan/manifest.ts";
import { type InstallPlan, planInstall } from "../../install/plan/plan.ts";
import { extraFolders, formatUnit } from "../../install/plan/unit.ts";
import type { Call } from "../framework/call.ts";
import { BRIDGE, NAME, PLUGIN_NAMES } from "./cni.ts";
import { FORCE } from "./install_flags.ts";
import type { InstallIo } from "../../install/port.ts";

/** What stands for the program where only its sources are at hand. */
const TO_BE_BUILT = "dist/stellar-net";

/** What is installed where. */
export interface Target {
  readonly io: InstallIo;
  readonly files: HostFiles;
  /** Folder that stands for the host's root; empty for this host. */
  readonly root: string;
  readonly isHere: boolean;
  /** Whether this host runs systemd. An image is taken for one that does. */
  readonly hasSystemd: boolean;
  readonly manifest: Manifest | undefined;
  readonly choices: Choices;
  readonly env: string;
  readonly config: AgentConfig;
}

/** Plans what is put in place, and what goes. */
export async function planItems(
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
  return [
    ...plugins.map((path): Item => ({
      kind: "link",
      path,
      target: programPath(choices.prefix),
      // The other name may be Stellar's own plugin; a copy of ours is not.
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
