import { stripVTControlCharacters } from "node:util";
import type { CommandRunner } from "../system/command.ts";
import { permissionFlags } from "./permissions.ts";
import type { Target } from "./target.ts";

/**
 * Flags of V8 for an agent that runs for years: its heap grows in small steps
 * (docs/performance.md).
 */
const V8_FLAGS =
  "--v8-flags=--max-semi-space-size=4,--heap-growing-percent=100";
const UNSTABLE = ["kv", "lazy-dynamic-imports", "net"]
  .map((name) => `--unstable-${name}`);

/** Flags of the runtime in both kinds of executables. */
export const RUN_FLAGS: readonly string[] = [
  ...["--quiet", "--no-config", "--no-lock", "--no-npm", "--no-remote"],
  ...UNSTABLE,
  V8_FLAGS,
  ...permissionFlags(),
];

/** Options of a compilation. */
export interface CompileOptions {
  readonly target: Target;
  /** Path of the bundled main module. */
  readonly main: string;
  /** Path of the executable. */
  readonly output: string;
  readonly runner: CommandRunner;
}

/** Outcome of a compilation. */
export type CompileResult =
  | { readonly kind: "compiled" }
  /** The base runtime cannot be downloaded. */
  | { readonly kind: "no base runtime"; readonly why: string }
  | { readonly kind: "failed"; readonly why: string };

/**
 * Makes an executable with `deno compile`, which downloads a base runtime from
 * the vendor unless `DENORT_BIN` names one.
 */
export async function compile(
  { target, main, output, runner }: CompileOptions,
): Promise<CompileResult> {
  const { code, stderr } = await runner.run({
    program: Deno.execPath(),
    args: ["compile", "--no-check", "--target", target.triple]
      .concat("--output", output, RUN_FLAGS, main),
  });
  if (code === 0) return { kind: "compiled" };
  const why = stripVTControlCharacters(stderr).trim();
  return /Setting up base binary|error sending request/.test(why)
    ? { kind: "no base runtime", why: lastCause(why) }
    : { kind: "failed", why };
}

/** The last of the numbered causes that Deno prints. */
function lastCause(text: string): string {
  const causes = text.split("Stack backtrace")[0]!.match(/^ +\d+: .*$/gm);
  return causes?.at(-1)?.replace(/^ +\d+: /, "") ?? text;
}
