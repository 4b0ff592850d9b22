import { join } from "node:path";
import type { BuildInfo } from "../../src/build/build_info.ts";
import { ROOT } from "../generate.ts";
import { run } from "./run.ts";

/** The executable that `deno task build` has made. */
export interface BuiltProgram {
  readonly path: string;
  readonly info: BuildInfo;
}

/** Set by the first test of a process that needs it: files of tests share nothing else. */
const BUILT = "STELLAR_NET_TESTS_HAVE_BUILT";

/** Builds the executable, once in a run of the tests. */
export async function builtProgram(): Promise<BuiltProgram> {
  const path = join(ROOT, "dist/stellar-net");
  const made = Deno.env.get(BUILT);
  if (made !== undefined) return { path, info: JSON.parse(made) };
  const { code, stdout, stderr } = await run(
    Deno.execPath(),
    ["run", "-A", join(ROOT, "src/build/main.ts")],
    { timeoutMs: 300_000 },
  );
  if (code !== 0) throw new Error(`Cannot build: ${stderr}`);
  const { info } = await readVersion(path);
  console.log(`built: ${stdout.trim()}`);
  Deno.env.set(BUILT, JSON.stringify(info));
  return { path, info };
}

async function readVersion(path: string): Promise<{ info: BuildInfo }> {
  const { code, stdout, stderr } = await run(path, ["version", "--json"]);
  if (code !== 0) throw new Error(`Cannot run ${path}: ${stderr}`);
  return { info: JSON.parse(stdout).build };
}
