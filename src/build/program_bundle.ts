import { NetError } from "../base/error.ts";
import { bundleProgram } from "./bundle_program.ts";
import type { CommandRunner } from "../system/command.ts";
import { renameChunks } from "./rename_chunks.ts";
import type { BuildInfo } from "./build_info.ts";

/** What to bundle, and with what. */
export interface ProgramBundleOptions {
  /** Folder of the sources. */
  readonly root: string;
  /** An empty folder for what comes of it. */
  readonly dir: string;
  readonly info: BuildInfo;
  readonly runner: CommandRunner;
}

/** Modules of the program by name: `main.js` is the main one. */
export type Modules = ReadonlyMap<string, Uint8Array<ArrayBuffer>>;

/**
 * Bundles the program, which knows then how it was built: its build_info.ts is
 * another.
 *
 * @throws {NetError} `unavailable` when that fails
 */
export async function bundleBuild(
  { root, dir, info, runner }: ProgramBundleOptions,
): Promise<Modules> {
  const infoFile = `${dir}/build_info.ts`;
  const config = `${dir}/deno.json`;
  const text = await Deno.readTextFile(`${root}/deno.json`);
  const { imports, unstable, compilerOptions } = JSON.parse(text);
  await Deno.writeTextFile(
    infoFile,
    `export const BUILD = ${JSON.stringify(info)};\n`,
  );
  await Deno.writeTextFile(
    config,
    JSON.stringify({
      ...{ unstable, compilerOptions },
      nodeModulesDir: "none",
      lock: { path: `${root}/deno.lock`, frozen: true },
      imports: {
        ...imports,
        [fileUrl(`${root}/src/build/build_info.ts`)]: fileUrl(infoFile),
      },
    }),
  );
  return await bundle(runner, {
    config,
    main: `${root}/main.ts`,
    outDir: `${dir}/app`,
  });
}

/**
 * Bundles a module that stands for itself.
 *
 * @throws {NetError} `unavailable` when that fails
 */
export async function bundleModule(
  runner: CommandRunner,
  options: {
    readonly config: string;
    readonly main: string;
    readonly outDir: string;
  },
): Promise<Uint8Array<ArrayBuffer>> {
  const [[, bytes] = []] = [...await bundle(runner, options)];
  return bytes!;
}

async function bundle(
  runner: CommandRunner,
  options: {
    readonly config: string;
    readonly main: string;
    readonly outDir: string;
  },
): Promise<Modules> {
  const failure = await bundleProgram(runner, {
    deno: Deno.execPath(),
    ...options,
  });
  if (failure !== undefined) {
    throw new NetError(
      "unavailable",
      `Cannot bundle "${options.main}": ${failure}`,
    );
  }
  const { outDir } = options;
  const texts = new Map<string, string>();
  for await (const { name } of Deno.readDir(outDir)) {
    texts.set(name, await Deno.readTextFile(`${outDir}/${name}`));
    await Deno.remove(`${outDir}/${name}`);
  }
  const modules = new Map<string, Uint8Array<ArrayBuffer>>();
  for (const [name, text] of await renameChunks(texts)) {
    await Deno.writeTextFile(`${outDir}/${name}`, text);
    modules.set(name, new TextEncoder().encode(text));
  }
  return modules;
}

function fileUrl(path: string): string {
  return new URL(`file://${encodeURI(path)}`).href;
}
