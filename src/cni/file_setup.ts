import { basename, resolve } from "node:path";
import { NetError } from "../base/error.ts";
import { bundleProgram } from "../build/bundle_program.ts";
import { formatNativePlugin, type NativePluginPaths } from "./native_file.ts";
import type { CniSetup, InstallOptions } from "./setup.ts";
import type { CommandRunner } from "../system/command.ts";
import { makeSymlink, replaceFile } from "../system/files.ts";

const USUAL_DIR = "/opt/cni/bin";
const PLUGIN_DIRS = [USUAL_DIR, "/usr/lib/cni", "/usr/libexec/cni"];

/** The way in which a plugin's caller starts this program. */
export type Program =
  | {
    readonly kind: "executable";
    readonly path: string;
    /** The compiled native plugin in Base64; undefined when there is none. */
    readonly nativePlugin: () => Promise<string | undefined>;
  }
  /** Its sources: the main module, and the runtime and configuration for it. */
  | {
    readonly kind: "sources";
    readonly main: string;
    readonly deno: string;
    readonly config: string;
  };

/** Folders beside the plugin that hold the bundled sources. */
const BUNDLE_PREFIX = ".stellar-net-";
/** The executable beside the native plugin. Runtimes list no hidden files. */
const COPY_NAME = ".stellar-net";

/** Installs the CNI plugin in the file system. */
export class FileCniSetup implements CniSetup {
  readonly #program: Program;
  readonly #runner: CommandRunner;

  constructor(program: Program, runner: CommandRunner) {
    this.#program = program;
    this.#runner = runner;
  }

  async findPluginDir(root = ""): Promise<string> {
    for (const dir of PLUGIN_DIRS) {
      if (await this.hasPlugin(`${root}${dir}`, "bridge")) return dir;
    }
    return USUAL_DIR;
  }

  async hasPlugin(dir: string, plugin: string): Promise<boolean> {
    try {
      return (await Deno.stat(`${dir}/${plugin}`)).isFile;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return false;
      throw writeError(dir, error);
    }
  }

  async install(options: InstallOptions): Promise<void> {
    const { dir, names, link, socketPath } = options;
    const program = this.#program;
    try {
      await Deno.mkdir(dir, { recursive: true, mode: 0o755 });
      if (program.kind === "executable") {
        const executable = link ? program.path : `${resolve(dir)}/${COPY_NAME}`;
        const native = await this.nativePlugin({ socketPath, executable });
        return native
          ? await installNative(native, { ...options, program, executable })
          : await installExecutable(program.path, options);
      }
      if (link) throw notLinkable();
      const bundle = `${dir}/${BUNDLE_PREFIX}${crypto.randomUUID()}`;
      const text = await this.#bundle(program, bundle);
      const write = (path: string) =>
        Deno.writeTextFile(path, text, { mode: 0o755 });
      for (const name of names) await place(`${dir}/${name}`, write);
      await removeOtherBundles(dir, bundle);
    } catch (error) {
      throw error instanceof NetError ? error : writeError(dir, error);
    }
  }

  async nativePlugin(
    paths: NativePluginPaths,
  ): Promise<Uint8Array<ArrayBuffer> | undefined> {
    if (this.#program.kind === "sources") return undefined;
    const text = await this.#program.nativePlugin();
    if (text === undefined) return undefined;
    try {
      return formatNativePlugin(Uint8Array.fromBase64(text), paths);
    } catch (cause) {
      if (!(cause instanceof RangeError)) throw cause;
      throw new NetError("invalid_argument", cause.message, { cause });
    }
  }

  absolutePath(path: string): string {
    return resolve(path);
  }

  async uplinkMtu(): Promise<number | undefined> {
    const route = await this.#ip(["-json", "route", "show", "default"]);
    const device = (route[0] as { dev?: string } | undefined)?.dev;
    if (device === undefined) return undefined;
    const [link] = await this.#ip(["-json", "link", "show", "dev", device]);
    return (link as { mtu?: number } | undefined)?.mtu;
  }

  /**
   * Bundles the sources into a folder, and returns the text of a script that
   * starts them. The runtime loads a bundle in half the time of many files.
   */
  async #bundle(
    program: Extract<Program, { kind: "sources" }>,
    dir: string,
  ): Promise<string> {
    const { main, deno, config } = program;
    try {
      await bundleProgram(this.#runner, { deno, config, main, outDir: dir });
    } catch (error) {
      await Deno.remove(dir, { recursive: true }).catch(() => {});
      throw error;
    }
    const entry = `${dir}/${basename(main).replace(/\.ts$/, ".js")}`;
    // The runtime does not start in a working directory that is gone.
    return formatLauncher([
      ...[deno, "run", "--quiet", "-A", "--no-config", "--no-lock"],
      // The bundle has everything: skip the set-up for loading more.
      ...["--no-npm", "--no-remote"],
      ...["--unstable-kv", "--unstable-lazy-dynamic-imports"],
      ...["--unstable-net", entry],
    ], "/");
  }

  async #ip(args: readonly string[]): Promise<unknown[]> {
    const { code, stdout } = await this.#runner.run({ program: "ip", args });
    const value: unknown = code === 0 && stdout.trim() !== ""
      ? JSON.parse(stdout)
      : [];
    return Array.isArray(value) ? value : [];
  }
}

async function installNative(
  plugin: Uint8Array,
  { dir, names, link, program, executable }: InstallOptions & {
    readonly program: { readonly path: string };
    readonly executable: string;
  },
): Promise<void> {
  if (!link) {
    // An installed plugin may run it at any moment: it is there first.
    await place(executable, (path) => Deno.copyFile(program.path, path));
  }
  for (const name of names) {
    await place(`${dir}/${name}`, (path) => Deno.writeFile(path, plugin));
  }
}

async function installExecutable(
  program: string,
  { dir, names, link }: InstallOptions,
): Promise<void> {
  const [first, ...others] = names.map((name) => `${dir}/${name}`);
  if (first === undefined) return;
  await place(first, async (path) => {
    if (link) makeSymlink(program, path);
    else await Deno.copyFile(program, path);
  });
  // One large file under several names.
  for (const path of others) {
    await place(path, async (path) => {
      if (link) makeSymlink(program, path);
      else await Deno.link(first, path);
    });
  }
}

/** Writes a program, or a link to one, in place of what there is. */
function place(
  target: string,
  write: (path: string) => Promise<void>,
): Promise<void> {
  return replaceFile(target, async (path) => {
    await write(path);
    if (!(await Deno.lstat(path)).isSymlink) await Deno.chmod(path, 0o755);
  });
}

async function removeOtherBundles(dir: string, kept: string): Promise<void> {
  for await (const { name } of Deno.readDir(dir)) {
    const path = `${dir}/${name}`;
    if (name.startsWith(BUNDLE_PREFIX) && path !== kept) {
      await Deno.remove(path, { recursive: true });
    }
  }
}

/** The text of a shell script that runs a command and appends its own arguments. */
export function formatLauncher(
  command: readonly string[],
  dir?: string,
): string {
  const words = command.map((word) => `'${word.replaceAll("'", `'\\''`)}'`);
  const enter = dir === undefined ? "" : `cd '${dir}'\n`;
  return `#!/bin/sh\n${enter}exec ${words.join(" ")} "$@"\n`;
}

function notLinkable(): NetError {
  return new NetError(
    "failed_precondition",
    "Cannot link the plugin: this program runs from its sources, which it bundles; leave --link out",
  );
}

function writeError(dir: string, cause: unknown): NetError {
  const what = cause instanceof Deno.errors.PermissionDenied
    ? "permission denied; run it as root, or name another folder with --plugin-dir"
    : cause instanceof Error
    ? cause.message
    : String(cause);
  return new NetError(
    "unavailable",
    `Cannot use the folder "${dir}": ${what}`,
    {
      cause,
    },
  );
}
