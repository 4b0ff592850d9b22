import { join } from "node:path";
import type { BuildInfo } from "../../src/build/build_info.ts";
import { ROOT } from "../generate.ts";
import { onceInRun } from "./once_in_run.ts";
import { run } from "./run.ts";

/** The executable that `deno task build` has made. */
export interface BuiltProgram {
  readonly path: string;
  readonly info: BuildInfo;
}

/** Builds the executable, once in a run of the tests, compiled if possible. */
export function builtProgram(): Promise<BuiltProgram> {
  return buildOnce("stellar-net", []);
}

/** Builds a self-extracting executable, once in a run of the tests. */
export async function selfExtractingProgram(): Promise<BuiltProgram> {
  const made = await builtProgram();
  if (made.info.kind === "self-extracting") return made;
  return await buildOnce(
    "stellar-net-self-extracting",
    ["--kind", "self-extracting"],
  );
}

async function buildOnce(
  name: string,
  args: readonly string[],
): Promise<BuiltProgram> {
  // The usual folder belongs to this machine.
  Deno.env.set("STELLAR_NET_UNPACK", join(ROOT, "dist/unpacked"));
  const path = join(ROOT, "dist", name);
  const info = await onceInRun(name, () => buildNow(path, args));
  return { path, info };
}

async function buildNow(
  path: string,
  args: readonly string[],
): Promise<BuildInfo> {
  const { code, stdout, stderr } = await run(
    Deno.execPath(),
    ["run", "-A", join(ROOT, "src/build/main.ts"), "--output", path, ...args],
    { timeoutMs: 300_000 },
  );
  if (code !== 0) throw new Error(`Cannot build: ${stderr}`);
  console.log(stdout.trim());
  const version = await run(path, ["version", "--json"]);
  if (version.code !== 0) throw new Error(`Cannot run it: ${version.stderr}`);
  return JSON.parse(version.stdout).build;
}
