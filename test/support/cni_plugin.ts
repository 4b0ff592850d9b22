import { join } from "node:path";
import { ROOT } from "../generate.ts";
import { run, type RunResult } from "./run.ts";

/** Where Debian puts the plugins of containernetworking-plugins. */
export const DEBIAN_PLUGINS = "/usr/lib/cni";

/** Installs this project's plugin into a folder, as an operator would. Returns its path. */
export async function installPlugin(dir: string): Promise<string> {
  await must(Deno.execPath(), [
    ...["run", "-A", join(ROOT, "main.ts"), "cni", "install"],
    ...["--plugin-dir", dir],
  ]);
  return join(dir, "stellar-net");
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
