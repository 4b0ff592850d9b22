import { dirname } from "node:path";
import type { FoundNamespace } from "../net/namespace.ts";
import type { NetnsLookup } from "./netns.ts";
import { starting } from "./deno_command.ts";

// The runtime opens files below /proc and /sys, and makes links, only for a
// process that may read and write everything. For others programs do it.

const decoder = new TextDecoder();

/**
 * Reads a file below /proc or /sys.
 *
 * @throws {Error} when it cannot be read
 */
export async function readKernelFile(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotCapable)) throw error;
    const { code, stdout, stderr } = await runTool("grep", ["-h", "", path]);
    if (code === 0) return stdout;
    throw new Error(`Cannot read "${path}": ${stderr.trim()}`);
  }
}

/** Whether there is a file at any path; `undefined` when that is not known. */
export async function fileExists(path: string): Promise<boolean | undefined> {
  const file = await statFile(path);
  return file === "unknown" ? undefined : file !== "missing";
}

/** Finds network namespaces in the file system. */
export class DenoNetns implements NetnsLookup {
  /** The device of the file system of namespaces (nsfs). */
  #device: Promise<number | undefined> | undefined;

  async find(path: string): Promise<FoundNamespace> {
    // These lead to this process, not to the caller.
    if (/^\/proc\/(?:self|thread-self)(?:\/|$)/.test(path)) {
      return { kind: "unknown" };
    }
    const file = await statFile(path);
    if (file === "unknown") return { kind: "unknown" };
    if (file !== "missing") {
      this.#device ??= statFile("/proc/self/ns/net").then((own) =>
        typeof own === "string" ? undefined : own.device
      );
      const device = await this.#device;
      if (device === undefined) return { kind: "unknown" };
      // A mount that ended leaves a plain file.
      if (file.device !== device) return { kind: "gone" };
      const since = await sinceOf(path, file.modifiedAtMs);
      return since === undefined
        ? { kind: "unknown" }
        : { kind: "there", id: { inode: file.inode, since } };
    }
    // Without its folder the path may lie in a mount that this process does
    // not see. Below /proc the folder disappears with the process.
    if (path.startsWith("/proc/")) return { kind: "gone" };
    return { kind: await fileExists(dirname(path)) ? "gone" : "unknown" };
  }
}

/**
 * The part of a namespace's identity besides its inode number. The kernel makes
 * a new inode for each look below `/proc`, but a mount keeps the one it has.
 */
async function sinceOf(
  path: string,
  modifiedAtMs: number,
): Promise<string | undefined> {
  const process = /^\/proc\/(\d+)\//.exec(path)?.[1];
  if (process === undefined) return `mount ${modifiedAtMs}`;
  try {
    const stat = await readKernelFile(`/proc/${process}/stat`);
    // The name of the program, in parentheses, may contain anything (proc(5)).
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return `process ${fields[19]}`;
  } catch {
    return undefined;
  }
}

async function statFile(
  path: string,
): Promise<
  | {
    readonly device: number;
    readonly inode: number;
    readonly modifiedAtMs: number;
  }
  | "missing"
  | "unknown"
> {
  try {
    const { dev, ino, mtime } = await Deno.stat(path);
    return {
      device: dev,
      inode: ino ?? 0,
      modifiedAtMs: mtime?.getTime() ?? 0,
    };
  } catch (error) {
    if (isMissing(error)) return "missing";
    if (!(error instanceof Deno.errors.NotCapable)) return "unknown";
  }
  try {
    const format = ["-L", "-c", "%d %i %.3Y", "--", path];
    const { code, stdout, stderr } = await runTool("stat", format);
    if (code !== 0) {
      return /No such file or directory|Not a directory/.test(stderr)
        ? "missing"
        : "unknown";
    }
    const [device, inode, seconds] = stdout.trim().split(" ");
    return {
      device: Number(device),
      inode: Number(inode),
      modifiedAtMs: Number(seconds!.replace(".", "")),
    };
  } catch {
    // Programs may be missing.
    return "unknown";
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound ||
    error instanceof Deno.errors.NotADirectory;
}

/** A socket's file, as stat(2) shows it; `stat` is undefined when there is none. */
export interface SocketStat {
  readonly path: string;
  readonly stat:
    | {
      readonly isSocket: boolean;
      /** The permission bits, such as 0o600. */
      readonly mode: number;
    }
    | undefined;
}

/** Reads type and mode of a socket's file. */
export async function statSocket(path: string): Promise<SocketStat> {
  try {
    const { isSocket, mode } = await Deno.stat(path);
    return { path, stat: { isSocket: isSocket ?? false, mode: mode ?? 0 } };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return { path, stat: undefined };
    throw error;
  }
}

/**
 * Makes a symbolic link.
 *
 * @throws {Deno.errors.AlreadyExists} when something is at the path
 * @throws {Error} when it cannot be made
 */
export function makeSymlink(target: string, path: string): void {
  try {
    Deno.symlinkSync(target, path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotCapable)) throw error;
    const { code, stderr } = starting(
      "ln",
      (environment) =>
        new Deno.Command("ln", {
          args: ["-sn", "--", target, path],
          ...environment,
          stdin: "null",
        }).outputSync(),
    );
    if (code === 0) return;
    const message = decoder.decode(stderr).trim();
    if (/File exists/.test(message)) {
      throw new Deno.errors.AlreadyExists(message);
    }
    throw new Error(message);
  }
}

/** Writes a file beside the target and renames it, so that a reader sees the old or the new one. */
export async function replaceFile(
  target: string,
  write: (path: string) => Promise<void>,
): Promise<void> {
  const temporary = `${target}.${crypto.randomUUID()}`;
  try {
    await write(temporary);
    await Deno.rename(temporary, target);
  } catch (error) {
    await Deno.remove(temporary).catch(() => {});
    throw error;
  }
}

/**
 * Runs a program of coreutils or grep(1) in the C locale.
 *
 * @throws {NetError} `unavailable` when it cannot be started
 */
export async function runTool(
  program: string,
  args: readonly string[],
): Promise<{ code: number; stdout: string; stderr: string }> {
  const child = starting(program, (environment) =>
    new Deno.Command(program, {
      args: [...args],
      ...environment,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn());
  const { code, stdout, stderr } = await child.output();
  return {
    code,
    stdout: decoder.decode(stdout),
    stderr: decoder.decode(stderr),
  };
}
