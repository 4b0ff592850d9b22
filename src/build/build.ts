import { basename, dirname } from "node:path";
import { NetError } from "../base/error.ts";
import type { CommandRunner } from "../system/command.ts";
import type { BuildInfo } from "./build_info.ts";
import { compile, RUN_FLAGS } from "./compile.ts";
import { formatChecksum, sha256 } from "./digest.ts";
import { findRuntime } from "./find_runtime.ts";
import { readGitCommit } from "./git_commit.ts";
import { bundleBuild, bundleModule } from "./program_bundle.ts";
import { formatSelfExtracting } from "./self_extracting.ts";
import type { Target } from "./target.ts";

/** What to build. */
export interface BuildOptions {
  /** Folder of the sources. */
  readonly root: string;
  readonly target: Target;
  /** Which kind; undefined: compiled, or self-extracting where that cannot be. */
  readonly kind: Exclude<BuildInfo["kind"], "sources"> | undefined;
  /** Version of a self-extracting executable's runtime. */
  readonly runtime: string;
  /** Where the executable goes. Its checksum goes beside it. */
  readonly output: string;
  readonly runner: CommandRunner;
}

/** What was built. */
export interface BuildResult {
  readonly info: BuildInfo;
  /** Why it was not compiled, if so and if that was tried. */
  readonly whyNotCompiled?: string;
  /** SHA-256 of the executable, in hex. */
  readonly digest: string;
  readonly bytes: number;
}

/**
 * Builds the executable.
 *
 * @throws {NetError} `unavailable` when a tool fails, or what it needs cannot be had
 */
export async function build(options: BuildOptions): Promise<BuildResult> {
  const { root, output } = options;
  const dir = await Deno.makeTempDir({ prefix: "stellar-net-build-" });
  // Renamed when it is whole: one that runs is not overwritten.
  const file = `${output}.${crypto.randomUUID()}`;
  try {
    await Deno.mkdir(dirname(output), { recursive: true });
    const git = await readGitCommit(root);
    const info = { ...git, target: options.target.triple };
    const made = await make(options, { dir, file, info });
    await Deno.chmod(file, 0o755);
    const executable = await Deno.readFile(file);
    const digest = await sha256(executable);
    await Deno.rename(file, output);
    await Deno.writeTextFile(
      `${output}.sha256`,
      formatChecksum(digest, basename(output)),
    );
    return { ...made, digest, bytes: executable.length };
  } finally {
    await Deno.remove(file).catch(() => {});
    await Deno.remove(dir, { recursive: true });
  }
}

/** Where a build works, and what it is told of itself. */
interface Workplace {
  readonly dir: string;
  readonly file: string;
  readonly info: Omit<BuildInfo, "kind">;
}

async function make(
  options: BuildOptions,
  workplace: Workplace,
): Promise<Pick<BuildResult, "info" | "whyNotCompiled">> {
  const { kind } = options;
  if (kind === "self-extracting") {
    return { info: await makeSelfExtracting(options, workplace) };
  }
  const compiled = await makeCompiled(options, workplace);
  if ("info" in compiled) return compiled;
  const { why } = compiled;
  if (kind === "compiled" || Deno.env.get("DENORT_BIN")) {
    throw new NetError("unavailable", `Cannot compile: ${why}`);
  }
  const info = await makeSelfExtracting(options, workplace);
  return { info, whyNotCompiled: why };
}

async function makeCompiled(
  { root, target, runner }: BuildOptions,
  workplace: Workplace,
): Promise<{ readonly info: BuildInfo } | { readonly why: string }> {
  const info: BuildInfo = { ...workplace.info, kind: "compiled" };
  const dir = `${workplace.dir}/compiled`;
  await Deno.mkdir(dir);
  await bundleBuild({ root, dir, info, runner });
  const result = await compile({
    ...{ target, runner },
    main: `${dir}/app/main.js`,
    output: workplace.file,
  });
  if (result.kind === "no base runtime") return { why: result.why };
  if (result.kind === "failed") {
    throw new NetError("unavailable", `Cannot compile: ${result.why}`);
  }
  // Whatever DENORT_BIN names is taken.
  if (target.triple !== Deno.build.target) return { info };
  const args = ["version", "--json"];
  const { stdout } = await runner.run({ program: workplace.file, args });
  return stdout.includes('"compiled"')
    ? { info }
    : { why: "what was compiled does not run; is DENORT_BIN a denort?" };
}

async function makeSelfExtracting(
  { root, target, runtime, runner }: BuildOptions,
  workplace: Workplace,
): Promise<BuildInfo> {
  const info: BuildInfo = { ...workplace.info, kind: "self-extracting" };
  const dir = `${workplace.dir}/unpacking`;
  const npm = `${workplace.dir}/npm`;
  await Deno.mkdir(dir);
  await Deno.mkdir(npm);
  const { version } = JSON.parse(await Deno.readTextFile(`${root}/deno.json`));
  const executable = await formatSelfExtracting({
    ...{ version, target },
    command: ["run", ...RUN_FLAGS],
    runtime: await findRuntime({ target, version: runtime, dir: npm, runner }),
    modules: await bundleBuild({ root, dir, info, runner }),
    settle: await bundleModule(runner, {
      config: `${dir}/deno.json`,
      main: `${root}/src/build/settle.ts`,
      outDir: `${dir}/settle`,
    }),
    launcher: await Deno.readTextFile(`${root}/src/build/launcher.sh`),
  });
  await Deno.writeFile(workplace.file, executable);
  return info;
}
