import { createHash } from "node:crypto";
import { basename } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { NetError } from "../base/error.ts";
import type { CommandRunner } from "../system/command.ts";
import type { BuildInfo } from "./build_info.ts";

/** A program to bundle. */
export interface BundleOptions {
  /** Path of the runtime, which contains the bundler. */
  readonly deno: string;
  /** Path of its configuration, with the import map. */
  readonly config: string;
  /** Path of the main module. */
  readonly main: string;
  /** Folder for `main.js` and one file for each part that is loaded later. */
  readonly outDir: string;
}

/** Modules of a program by file name; `main.js` is the main one. */
export type Modules = ReadonlyMap<string, Uint8Array<ArrayBuffer>>;

/**
 * How a bundle makes `require` for modules of Node, at its start. Loading
 * `node:module` takes a small program longer than all the rest.
 */
const EAGER_REQUIRE =
  /import\{createRequire as (\w+)\} ?from ?"node:module";var (\w+)=\1\(import\.meta\.url\);/;
const LAZY_REQUIRE =
  'var $2=(...x)=>process.getBuiltinModule("node:module").createRequire(import.meta.url)(...x);';

/** The bundler's name of a part: what the part is for, and eight characters. */
const PART = /\b([\w.]+)-[A-Z0-9]{8}\.js\b/g;
/** More than the longest chain of imports between parts. */
const ROUNDS = 16;
const NAME_LENGTH = 12;

/**
 * Bundles and minifies a program. Modules that it imports dynamically stay in
 * files of their own.
 *
 * @throws {NetError} `unavailable` when the bundler fails or does not start
 */
export async function bundleProgram(
  runner: CommandRunner,
  { deno, config, main, outDir }: BundleOptions,
): Promise<void> {
  const args = ["bundle", "--quiet", "--code-splitting", "--minify"]
    .concat("--config", config, "--outdir", outDir, main);
  const { code, stderr } = await runner.run({ program: deno, args });
  if (code !== 0) {
    throw new NetError(
      "unavailable",
      `Cannot bundle "${main}" with "${deno} bundle": ${
        stripVTControlCharacters(stderr).trim()
      }`,
    );
  }
  for await (const { name } of Deno.readDir(outDir)) {
    const path = `${outDir}/${name}`;
    const text = await Deno.readTextFile(path);
    const changed = text.replace(EAGER_REQUIRE, LAZY_REQUIRE);
    if (changed !== text) await Deno.writeTextFile(path, changed);
  }
}

export interface BundleBuildOptions {
  /** Folder of the sources. */
  readonly root: string;
  /** An empty folder for the bundle, in `app/`, and for its configuration. */
  readonly dir: string;
  /** Takes the place of build_info.ts. */
  readonly info: BuildInfo;
  /** The compiled CNI plugin; takes the place of native_plugin.ts. */
  readonly nativePlugin: Uint8Array | undefined;
  readonly runner: CommandRunner;
}

/**
 * Bundles this program for an executable. The same sources make the same
 * modules, in whatever folder they are.
 *
 * @throws {NetError} `unavailable` when the bundler fails
 */
export async function bundleBuild(
  { root, dir, info, nativePlugin, runner }: BundleBuildOptions,
): Promise<Modules> {
  const replaced: Readonly<Record<string, string>> = {
    "src/build/build_info.ts": `export const BUILD = ${JSON.stringify(info)};`,
    "src/cni/native_plugin.ts": `export const NATIVE_PLUGIN = ${
      JSON.stringify(nativePlugin?.toBase64())
    };`,
  };
  const config = `${dir}/deno.json`;
  const text = await Deno.readTextFile(`${root}/deno.json`);
  const { imports, unstable, compilerOptions } = JSON.parse(text);
  const replacements: Record<string, string> = {};
  for (const [path, source] of Object.entries(replaced)) {
    const file = `${dir}/${basename(path)}`;
    await Deno.writeTextFile(file, `${source}\n`);
    replacements[fileUrl(`${root}/${path}`)] = fileUrl(file);
  }
  await Deno.writeTextFile(
    config,
    JSON.stringify({
      ...{ unstable, compilerOptions },
      nodeModulesDir: "none",
      lock: { path: `${root}/deno.lock`, frozen: true },
      imports: { ...imports, ...replacements },
    }),
  );
  return await bundleModules(runner, {
    deno: Deno.execPath(),
    config,
    main: `${root}/main.ts`,
    outDir: `${dir}/app`,
  });
}

/**
 * Bundles a program, names its parts by their content, and reads it.
 *
 * @throws {NetError} `unavailable` when the bundler fails
 */
export async function bundleModules(
  runner: CommandRunner,
  options: BundleOptions,
): Promise<Modules> {
  await bundleProgram(runner, options);
  const { outDir } = options;
  const texts = new Map<string, string>();
  for await (const { name } of Deno.readDir(outDir)) {
    texts.set(name, await Deno.readTextFile(`${outDir}/${name}`));
    await Deno.remove(`${outDir}/${name}`);
  }
  const modules = new Map<string, Uint8Array<ArrayBuffer>>();
  for (const [name, text] of renameParts(texts)) {
    await Deno.writeTextFile(`${outDir}/${name}`, text);
    modules.set(name, new TextEncoder().encode(text));
  }
  return modules;
}

/**
 * Renames the parts of a bundle by their content. The bundler's own names
 * depend on the folders of the sources and packages, so that two builds of one
 * commit would differ.
 *
 * @param modules texts of `main.js` and of parts such as `chunk-A1B2C3D4.js`
 */
export function renameParts(
  modules: ReadonlyMap<string, string>,
): ReadonlyMap<string, string> {
  const parts = [...modules.keys()].filter((name) => name.match(PART));
  let names = new Map(parts.map((name) => [name, name.replace(PART, "$1")]));
  const rename = (text: string) =>
    text.replace(PART, (name) => names.get(name) ?? name);
  // The names of its imports are content of a part: the next round hashes them.
  for (let round = 0; round < ROUNDS; round++) {
    const next = new Map<string, string>();
    for (const part of parts) {
      const digest = createHash("sha256").update(rename(modules.get(part)!))
        .digest("hex").slice(0, NAME_LENGTH);
      next.set(part, `${part.replace(PART, "$1")}-${digest}.js`);
    }
    names = next;
  }
  return new Map(
    [...modules].map(([name, text]) => [names.get(name) ?? name, rename(text)]),
  );
}

function fileUrl(path: string): string {
  return new URL(`file://${encodeURI(path)}`).href;
}
