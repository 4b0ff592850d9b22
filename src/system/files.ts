import { dirname } from "node:path";
import type { NetnsLookup, NetnsState } from "./netns.ts";

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

/** Whether there is a file at any path; `undefined` when that cannot be told. */
export async function fileExists(path: string): Promise<boolean | undefined> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    if (!(error instanceof Deno.errors.NotCapable)) return undefined;
  }
  try {
    const { code, stderr } = await runTool("stat", ["-L", "-c", "%i", path]);
    if (code === 0) return true;
    return /No such file or directory/.test(stderr) ? false : undefined;
  } catch {
    // Programs may be missing.
    return undefined;
  }
}

/** Looks up network namespaces in the file system. */
export class DenoNetns implements NetnsLookup {
  async look(path: string): Promise<NetnsState> {
    const exists = await fileExists(path);
    if (exists !== false) return exists ? "there" : "unknown";
    // Without its folder the path may lie in a mount that this process does
    // not see. Below /proc the folder disappears with the process.
    if (path.startsWith("/proc/")) return "gone";
    return await fileExists(dirname(path)) ? "gone" : "unknown";
  }
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
    const { code, stderr } = new Deno.Command("ln", {
      args: ["-sn", "--", target, path],
      env: { LC_ALL: "C" },
      stdin: "null",
    }).outputSync();
    if (code === 0) return;
    const message = decoder.decode(stderr).trim();
    if (/File exists/.test(message)) {
      throw new Deno.errors.AlreadyExists(message);
    }
    throw new Error(message);
  }
}

/** Runs a program of coreutils or grep(1) in the C locale. */
export async function runTool(
  program: string,
  args: readonly string[],
): Promise<{ code: number; stdout: string; stderr: string }> {
  const { code, stdout, stderr } = await new Deno.Command(program, {
    args: [...args],
    env: { LC_ALL: "C" },
    stdin: "null",
  }).output();
  return {
    code,
    stdout: decoder.decode(stdout),
    stderr: decoder.decode(stderr),
  };
}
