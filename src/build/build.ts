import { basename, dirname } from "node:path";
import { NetError } from "../base/error.ts";
import type { CommandRunner } from "../system/command.ts";
import type { BuildInfo } from "./build_info.ts";
import { compile, RUN_FLAGS } from "./compile.ts";
import { bundleBuild, bundleModules } from "./bundle_program.ts";
import { compileNativePlugin } from "./native_plugin.ts";
import {
  formatChecksum,
  formatSelfExtracting,
  sha256,
} from "./self_extracting.ts";
import { findRuntime, type Target } from "./target.ts";

export interface BuildOptions {
  /** Folder of the sources. */
  readonly root: string;
  readonly target: Target;
  /** Default: compiled, or self-extracting where compiling is impossible. */
  readonly kind: Exclude<BuildInfo["kind"], "sources"> | undefined;
  /** Version of the runtime in a self-extracting executable. */
  readonly runtime: string;
  /** SHA-256 of that runtime, where the target has none for its version. */
  readonly runtimeDigest?: string | undefined;
  /** Path of the executable. Its checksum is written beside it. */
  readonly output: string;
  readonly runner: CommandRunner;
}

/** A finished build. */
export interface BuildResult {
  readonly info: BuildInfo;
  /** Why compiling failed, when it was tried and is not required. */
  readonly whyNotCompiled?: string;
  /** Why there is no native CNI plugin in it, if so. */
  readonly whyNoNativePlugin?: string;
  /** SHA-256 of the executable, in hex. */
  readonly digest: string;
  readonly bytes: number;
}

/**
 * Builds the executable.
 *
 * @throws {NetError} `unavailable` when a tool fails or a download is impossible
 */
export async function build(options: BuildOptions): Promise<BuildResult> {
  const { root, output } = options;
  const dir = await Deno.makeTempDir({ prefix: "stellar-net-build-" });
  // Renamed when complete: a running executable cannot be overwritten.
  const file = `${output}.${crypto.randomUUID()}`;
  try {
    await Deno.mkdir(dirname(output), { recursive: true });
    const git = await readGitCommit(root);
    const info = { ...git, target: options.target.triple };
    const native = await compileNativePlugin({
      ...options,
      output: `${dir}/plugin`,
    });
    const nativePlugin = native.kind === "compiled" ? native.bytes : undefined;
    const made = await make(options, { dir, file, info, nativePlugin });
    await Deno.chmod(file, 0o755);
    const executable = await Deno.readFile(file);
    const digest = sha256(executable);
    await Deno.rename(file, output);
    await Deno.writeTextFile(
      `${output}.sha256`,
      formatChecksum(digest, basename(output)),
    );
    return {
      ...made,
      ...native.kind === "no compiler" && { whyNoNativePlugin: native.why },
      ...{ digest, bytes: executable.length },
    };
  } finally {
    await Deno.remove(file).catch(() => {});
    await Deno.remove(dir, { recursive: true });
  }
}

/** Temporary files of a build, and the facts to embed. */
interface Workplace {
  readonly dir: string;
  readonly file: string;
  readonly info: Omit<BuildInfo, "kind">;
  readonly nativePlugin: Uint8Array | undefined;
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
  const { nativePlugin } = workplace;
  await bundleBuild({ root, dir, info, nativePlugin, runner });
  const result = await compile({
    ...{ target, runner },
    main: `${dir}/app/main.js`,
    output: workplace.file,
  });
  if (result.kind === "no base runtime") return { why: result.why };
  if (result.kind === "failed") {
    throw new NetError("unavailable", `Cannot compile: ${result.why}`);
  }
  // DENORT_BIN may name anything.
  if (target.triple !== Deno.build.target) return { info };
  const args = ["version", "--json"];
  const { stdout } = await runner.run({ program: workplace.file, args });
  return stdout.includes('"compiled"')
    ? { info }
    : { why: "the compiled program does not run; is DENORT_BIN a denort?" };
}

async function makeSelfExtracting(
  { root, target, runtime, runtimeDigest, runner }: BuildOptions,
  workplace: Workplace,
): Promise<BuildInfo> {
  const info: BuildInfo = { ...workplace.info, kind: "self-extracting" };
  const dir = `${workplace.dir}/unpacking`;
  const npm = `${workplace.dir}/npm`;
  await Deno.mkdir(dir);
  await Deno.mkdir(npm);
  const { version } = JSON.parse(await Deno.readTextFile(`${root}/deno.json`));
  const { nativePlugin } = workplace;
  const modules = await bundleBuild({ root, dir, info, nativePlugin, runner });
  const settle = await bundleModules(runner, {
    deno: Deno.execPath(),
    config: `${dir}/deno.json`,
    main: `${root}/src/build/settle.ts`,
    outDir: `${dir}/settle`,
  });
  const executable = await formatSelfExtracting({
    ...{ version, target, modules },
    command: ["run", ...RUN_FLAGS],
    runtime: await findRuntime({
      ...{ target, version: runtime, dir: npm, runner },
      digest: runtimeDigest,
    }),
    settle: settle.get("settle.js")!,
    launcher: await Deno.readTextFile(`${root}/src/build/launcher.sh`),
  });
  await Deno.writeFile(workplace.file, executable);
  return info;
}

/**
 * Reads the commit of a checkout, and whether its files have changed since. The
 * commit is null without git and in a folder that is not a checkout.
 */
export async function readGitCommit(
  dir: string,
): Promise<Pick<BuildInfo, "commit" | "modified">> {
  const commit = await git(dir, ["rev-parse", "--verify", "HEAD"]);
  if (commit === undefined) return { commit: null, modified: false };
  const status = await git(dir, ["status", "--porcelain"]);
  return { commit, modified: status !== "" };
}

async function git(
  dir: string,
  args: readonly string[],
): Promise<string | undefined> {
  try {
    const { code, stdout } = await new Deno.Command("git", {
      // The checkout may belong to another user.
      args: ["-c", `safe.directory=${dir}`, "-C", dir, ...args],
      env: { LC_ALL: "C" },
      stdin: "null",
    }).output();
    return code === 0 ? new TextDecoder().decode(stdout).trim() : undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
