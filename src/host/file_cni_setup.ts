import { resolve } from "node:path";
import { NetError } from "../error.ts";
import type { CniSetup, InstallOptions } from "./cni_setup.ts";
import type { CommandRunner } from "./command.ts";

const USUAL_DIR = "/opt/cni/bin";
const PLUGIN_DIRS = [USUAL_DIR, "/usr/lib/cni", "/usr/libexec/cni"];

/** How this program is started again by a plugin's caller. */
export type Program =
  | { readonly kind: "executable"; readonly path: string }
  /** The text of a script that starts it. */
  | { readonly kind: "launcher"; readonly text: string };

/** Sets the CNI plugin up in the file system. */
export class FileCniSetup implements CniSetup {
  readonly #program: Program;
  readonly #runner: CommandRunner;

  constructor(program: Program, runner: CommandRunner) {
    this.#program = program;
    this.#runner = runner;
  }

  async findPluginDir(): Promise<string> {
    for (const dir of PLUGIN_DIRS) {
      if (await this.hasPlugin(dir, "bridge")) return dir;
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

  async install({ dir, names, link }: InstallOptions): Promise<void> {
    try {
      await Deno.mkdir(dir, { recursive: true, mode: 0o755 });
      for (const name of names) await this.#place(`${dir}/${name}`, link);
    } catch (error) {
      throw error instanceof NetError ? error : writeError(dir, error);
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

  /** Writes beside the target and renames: a runtime sees the old file or the new one. */
  async #place(target: string, link: boolean): Promise<void> {
    const program = this.#program;
    const temporary = `${target}.${crypto.randomUUID()}`;
    try {
      if (program.kind === "launcher") {
        if (link) throw notLinkable();
        await Deno.writeTextFile(temporary, program.text, { mode: 0o755 });
      } else if (link) await Deno.symlink(program.path, temporary);
      else await Deno.copyFile(program.path, temporary);
      if (!link) await Deno.chmod(temporary, 0o755);
      await Deno.rename(temporary, target);
    } catch (error) {
      await Deno.remove(temporary).catch(() => {});
      throw error;
    }
  }

  async #ip(args: readonly string[]): Promise<unknown[]> {
    const { code, stdout } = await this.#runner.run({ program: "ip", args });
    const value: unknown = code === 0 && stdout.trim() !== ""
      ? JSON.parse(stdout)
      : [];
    return Array.isArray(value) ? value : [];
  }
}

/** The text of a launcher: a shell script that runs a command with its own arguments behind. */
export function formatLauncher(command: readonly string[]): string {
  const words = command.map((word) => `'${word.replaceAll("'", `'\\''`)}'`);
  return `#!/bin/sh\nexec ${words.join(" ")} "$@"\n`;
}

function notLinkable(): NetError {
  return new NetError(
    "failed_precondition",
    "Cannot link the plugin: this program runs from its sources, which need a launcher; leave --link out",
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
