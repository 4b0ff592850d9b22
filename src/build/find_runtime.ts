import { NetError } from "../base/error.ts";
import type { CommandRunner } from "../system/command.ts";
import { checkExecutable, type Target } from "./target.ts";

/** Which runtime. */
export interface RuntimeOptions {
  readonly target: Target;
  /** Such as `2.9.6`. */
  readonly version: string;
  /** An empty folder for what is fetched. */
  readonly dir: string;
  readonly runner: CommandRunner;
}

/**
 * Reads the runtime for a target: this process's own where it is the same,
 * else the one in npm's registry.
 *
 * @throws {NetError} `unavailable` when it cannot be had
 */
export async function findRuntime(
  options: RuntimeOptions,
): Promise<Uint8Array<ArrayBuffer>> {
  const { target, version } = options;
  const isOwn = target.triple === Deno.build.target &&
    version === Deno.version.deno;
  const path = isOwn ? Deno.execPath() : await fetchRuntime(options);
  const bytes = await Deno.readFile(path);
  checkExecutable(bytes, target);
  return bytes;
}

async function fetchRuntime(
  { target, version, dir, runner }: RuntimeOptions,
): Promise<string> {
  const name = `${target.npmPackage}@${version}`;
  const args = [
    "install",
    "--prefix",
    dir,
    "--no-save",
    "--force",
    "--loglevel=error",
  ]
    // A package for another platform is refused otherwise.
    .concat("--ignore-scripts", "--no-audit", "--no-fund", name);
  const { code, stdout, stderr } = await runner.run({ program: "npm", args });
  if (code === 0) return `${dir}/node_modules/${target.npmPackage}/deno`;
  throw new NetError(
    "unavailable",
    `Cannot fetch the runtime "${name}" with npm: ${
      (stderr + stdout).trim() || `exit code ${code}`
    }; see "npm view ${target.npmPackage} versions", and name one with --runtime`,
  );
}
