import type { CommandRunner } from "../system/command.ts";

/** A program to bundle. */
export interface BundleOptions {
  /** The runtime, which has the bundler. */
  readonly deno: string;
  /** Its configuration, with the import map. */
  readonly config: string;
  /** The main module. */
  readonly main: string;
  /** A folder for what comes of it: `main.js`, and a file for each part that is loaded later. */
  readonly outDir: string;
}

/**
 * How bundles get at modules of Node by `require`: a module that costs a small
 * program more time than all the rest, and that nobody may need.
 */
const EAGER_REQUIRE =
  /import\{createRequire as (\w+)\} ?from ?"node:module";var (\w+)=\1\(import\.meta\.url\);/;
const LAZY_REQUIRE =
  'var $2=(...x)=>process.getBuiltinModule("node:module").createRequire(import.meta.url)(...x);';

/**
 * Bundles a program, minified: what is imported when it is needed stays so.
 *
 * @returns what went wrong, or undefined
 * @throws {NetError} `unavailable` when the bundler cannot be started
 */
export async function bundleProgram(
  runner: CommandRunner,
  { deno, config, main, outDir }: BundleOptions,
): Promise<string | undefined> {
  const args = ["bundle", "--quiet", "--code-splitting", "--minify"]
    .concat("--config", config, "--outdir", outDir, main);
  const { code, stderr } = await runner.run({ program: deno, args });
  if (code !== 0) return stderr.trim();
  for await (const { name } of Deno.readDir(outDir)) {
    const path = `${outDir}/${name}`;
    const text = await Deno.readTextFile(path);
    const changed = text.replace(EAGER_REQUIRE, LAZY_REQUIRE);
    if (changed !== text) await Deno.writeTextFile(path, changed);
  }
  return undefined;
}
