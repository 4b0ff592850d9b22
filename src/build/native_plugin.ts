import { NetError } from "../base/error.ts";
import type { CommandRunner } from "../system/command.ts";
import { checkExecutable, type Target } from "./target.ts";

/** Options of a compilation. */
export interface NativePluginOptions {
  /** Folder of the sources. */
  readonly root: string;
  readonly target: Target;
  /** Path of the compiled plugin. */
  readonly output: string;
  readonly runner: CommandRunner;
}

/** Outcome of a compilation. */
export type NativePluginResult =
  | { readonly kind: "compiled"; readonly bytes: Uint8Array<ArrayBuffer> }
  /** This machine has no compiler for the target. */
  | { readonly kind: "no compiler"; readonly why: string };

/** The same source and compiler make the same bytes, in whatever folder. */
const FLAGS = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror"]
  // Static: it starts in two thirds of the time, and LD_PRELOAD does not matter.
  .concat("-static", "-s", "-Wl,--build-id=none");

/**
 * Compiles the native CNI plugin with Debian's compiler for the target, or with
 * the machine's own.
 *
 * @throws {NetError} `unavailable` when the source does not compile
 */
export async function compileNativePlugin(
  { root, target, output, runner }: NativePluginOptions,
): Promise<NativePluginResult> {
  const compilers = [`${target.machine}-linux-gnu-gcc`]
    .concat(target.triple === Deno.build.target ? ["cc"] : []);
  const compiler = await findCompiler(compilers, runner);
  if (compiler === undefined) {
    return {
      kind: "no compiler",
      why: `there is no ${compilers.join(" and no ")}; in Debian, install ${
        packagesFor(target).join(" and ")
      }`,
    };
  }
  const { code, stderr } = await runner.run({
    program: compiler,
    args: [...FLAGS, "-o", output, `${root}/src/cni/native/plugin.c`],
  });
  if (code !== 0) {
    throw new NetError(
      "unavailable",
      `Cannot compile the CNI plugin with "${compiler}": ${stderr.trim()}`,
    );
  }
  const bytes = await Deno.readFile(output);
  checkExecutable(bytes, target);
  return { kind: "compiled", bytes };
}

/** The first of some compilers that this machine has. */
async function findCompiler(
  compilers: readonly string[],
  runner: CommandRunner,
): Promise<string | undefined> {
  for (const program of compilers) {
    const isThere = await runner.run({ program, args: ["--version"] })
      .then(({ code }) => code === 0, () => false);
    if (isThere) return program;
  }
  return undefined;
}

function packagesFor({ triple, machine }: Target): string[] {
  return triple === Deno.build.target
    ? ["gcc", "libc6-dev"]
    : [`gcc-${machine.replace("_", "-")}-linux-gnu`];
}
