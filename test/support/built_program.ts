import { join } from "node:path";
import type { BuildInfo } from "../../src/build/build_info.ts";
import { ROOT } from "../generate.ts";
import { run } from "./run.ts";

/** The executable that `deno task build` has made. */
export interface BuiltProgram {
  readonly path: string;
  readonly info: BuildInfo;
}

/** Builds the executable, once in a run of the tests: of the kind that can be made here. */
export function builtProgram(): Promise<BuiltProgram> {
  return buildOnce("STELLAR_NET_TESTS_BUILT", "stellar-net", []);
}

/** Builds one that unpacks itself, likewise; it may be the same. */
export async function selfExtractingProgram(): Promise<BuiltProgram> {
  const made = await builtProgram();
  if (made.info.kind === "self-extracting") return made;
  return await buildOnce(
    "STELLAR_NET_TESTS_BUILT_SELF_EXTRACTING",
    "stellar-net-self-extracting",
    ["--kind", "self-extracting"],
  );
}

/**
 * @param variable is set by the first test of a process that needs it: files of
 * tests share nothing else
 */
async function buildOnce(
  variable: string,
  name: string,
  args: readonly string[],
): Promise<BuiltProgram> {
  // As it would be by default, but not among this machine's own files.
  Deno.env.set("STELLAR_NET_UNPACK", join(ROOT, "dist/unpacked"));
  const path = join(ROOT, "dist", name);
  const made = Deno.env.get(variable);
  if (made !== undefined) return { path, info: JSON.parse(made) };
  const { code, stdout, stderr } = await run(
    Deno.execPath(),
    ["run", "-A", join(ROOT, "src/build/main.ts"), "--output", path, ...args],
    { timeoutMs: 300_000 },
  );
  if (code !== 0) throw new Error(`Cannot build: ${stderr}`);
  console.log(stdout.trim());
  const version = await run(path, ["version", "--json"]);
  if (version.code !== 0) throw new Error(`Cannot run it: ${version.stderr}`);
  const { build } = JSON.parse(version.stdout);
  Deno.env.set(variable, JSON.stringify(build));
  return { path, info: build };
}
