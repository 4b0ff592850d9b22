import process from "node:process";
import { readKernelFile, runTool } from "./files.ts";

/** The resources that a process uses. Undefined: the system does not say. */
export interface ProcessStats {
  readonly startedAtMs: number;
  /** Processor time, in user and in system mode. */
  readonly cpuSeconds: number;
  /** Memory in RAM. */
  readonly residentBytes: number;
  /** Memory that V8 uses for objects. */
  readonly heapBytes: number;
  readonly openFiles: number | undefined;
  readonly maxFiles: number | undefined;
}

/** Reads what this process uses (proc(5)). */
export async function readProcessStats(): Promise<ProcessStats> {
  const { rss, heapUsed } = Deno.memoryUsage();
  const { user, system } = process.cpuUsage();
  return {
    startedAtMs: performance.timeOrigin,
    cpuSeconds: (user + system) / 1e6,
    residentBytes: rss,
    heapBytes: heapUsed,
    openFiles: await countOpenFiles(),
    maxFiles: await readMaxFiles(),
  };
}

/** Files that the agent needs for itself: the store, programs, the queue. */
const RESERVED_FILES = 128;
/** The least number of connections for which a listener is useful. */
const MIN_CONNECTIONS = 16;

/**
 * How many connections each of several listeners may have, so that files are
 * left for all else: a listener that cannot accept a connection for want of a
 * file stops accepting any.
 *
 * @param limits the text of `/proc/self/limits` (proc(5))
 * @param most the upper bound for one listener
 */
export function connectionsPerListener(
  limits: string,
  options: { readonly listeners: number; readonly most: number },
): number {
  const max = parseMaxFiles(limits);
  if (max === undefined) return options.most;
  const each = Math.floor((max - RESERVED_FILES) / options.listeners);
  return Math.min(options.most, Math.max(MIN_CONNECTIONS, each));
}

/** Undefined for "unlimited", or a system that does not say. */
function parseMaxFiles(limits: string): number | undefined {
  const match = /^Max open files\s+(\d+)/m.exec(limits);
  return match ? Number(match[1]) : undefined;
}

/** The limit does not change as long as the process lives. */
let maxFiles: Promise<number | undefined> | undefined;

function readMaxFiles(): Promise<number | undefined> {
  return maxFiles ??= readKernelFile(`/proc/${Deno.pid}/limits`)
    .then(parseMaxFiles, () => undefined);
}

async function countOpenFiles(): Promise<number | undefined> {
  const path = `/proc/${Deno.pid}/fd`;
  try {
    // The descriptor that reads the folder does not count.
    return [...Deno.readDirSync(path)].length - 1;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotCapable)) return undefined;
  }
  try {
    // Since Linux 6.2 the size of the folder is the number; before it is 0.
    const { code, stdout } = await runTool("stat", ["-c", "%s", path]);
    const count = Number(stdout);
    return code === 0 && count > 0 ? count : undefined;
  } catch {
    return undefined;
  }
}
