import assert from "node:assert/strict";
import { join } from "node:path";
import { compileNativePlugin } from "../../src/build/native_plugin.ts";
import { findTarget } from "../../src/build/target.ts";
import { formatNativePlugin } from "../../src/cni/native_file.ts";
import { DenoCommandRunner } from "../../src/system/deno_command.ts";
import { ROOT } from "../generate.ts";
import { onceInRun } from "./once_in_run.ts";
import { run, type RunResult } from "./run.ts";

/** Where Debian puts the plugins of containernetworking-plugins. */
export const DEBIAN_PLUGINS = "/usr/lib/cni";

/** Kinds of the installed plugin: the native one, and the executable itself. */
export const PLUGIN_KINDS = ["executable", "native"] as const;
export type PluginKind = typeof PLUGIN_KINDS[number];

/** Runs a test over both kinds of the plugin: they have to do the same. */
export function testPlugins(
  name: string,
  test: (kind: PluginKind, t: Deno.TestContext) => Promise<void>,
): void {
  for (const kind of PLUGIN_KINDS) {
    Deno.test(`${name}: ${kind}`, (t) => test(kind, t));
  }
}

const NAMES = ["stellar-net", "stellar-cni-ipam"];
const BUNDLE = /\.stellar-net-[0-9a-f-]{36}/;

export interface InstallPluginOptions {
  /** Default `executable`. */
  readonly kind?: PluginKind;
  /** The agent's socket for the native plugin. Default: the usual one. */
  readonly socketPath?: string;
}

/**
 * Installs this project's plugin into a folder, from source. Returns its path.
 * The bundle, which takes seconds, is made once in a run of the tests.
 */
export async function installPlugin(
  dir: string,
  { kind = "executable", socketPath = "/run/stellar-net/agent.sock" }:
    InstallPluginOptions = {},
): Promise<string> {
  const made = join(ROOT, "dist/test-plugin");
  await onceInRun("test-plugin", async () => {
    await must(Deno.execPath(), [
      ...["run", "-A", join(ROOT, "main.ts"), "cni", "install"],
      ...["--plugin-dir", made],
    ]);
    return made;
  });
  const launcher = await Deno.readTextFile(join(made, NAMES[0]!));
  const bundle = BUNDLE.exec(launcher)![0];
  await must("cp", ["-r", join(made, bundle), join(dir, bundle)]);
  const text = launcher.replaceAll(made, dir);
  if (kind === "executable") {
    for (const name of NAMES) await writeProgram(join(dir, name), text);
  } else {
    const executable = join(dir, ".stellar-net");
    await writeProgram(executable, text);
    const plugin = formatNativePlugin(
      await Deno.readFile(await nativePlugin()),
      { socketPath, executable },
    );
    for (const name of NAMES) await writeProgram(join(dir, name), plugin);
  }
  return join(dir, NAMES[0]!);
}

async function writeProgram(
  path: string,
  content: string | Uint8Array,
): Promise<void> {
  const bytes = typeof content === "string"
    ? new TextEncoder().encode(content)
    : content;
  await Deno.writeFile(path, bytes, { mode: 0o755 });
  await Deno.chmod(path, 0o755);
}

/** Compiles the native plugin as a build does, once in a run. Returns its path. */
export function nativePlugin(): Promise<string> {
  return onceInRun("test-native-plugin", async () => {
    const output = join(ROOT, "dist/test-native-plugin");
    const { kind } = await compileNativePlugin({
      root: ROOT,
      target: findTarget(Deno.build.target),
      output,
      runner: new DenoCommandRunner({ timeoutMs: 60_000 }),
    });
    assert.equal(kind, "compiled");
    return output;
  });
}

/** A call of a plugin in a process of its own. */
export interface PluginProcessCall {
  /** The whole of its environment. */
  readonly env: Readonly<Record<string, string>>;
  /** The configuration: a value for JSON, or the text. */
  readonly config: unknown;
}

/** Calls a plugin that is a file, in a process of its own. */
export async function callPlugin(
  path: string,
  call: PluginProcessCall,
): Promise<RunResult> {
  const { env, config } = call;
  return await run(path, [], {
    env,
    clearEnv: true,
    stdin: typeof config === "string" ? config : JSON.stringify(config),
  });
}

/** Runs a program that has to succeed. */
export async function must(
  program: string,
  args: readonly string[],
  stdin = "",
): Promise<RunResult> {
  const result = await run(program, args, { stdin });
  if (result.code === 0) return result;
  throw new Error(
    `Cannot run ${[program, ...args].join(" ")}: ${result.stderr}`,
  );
}
