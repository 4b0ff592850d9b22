import process from "node:process";
import { readKernelFile } from "./kernel_file.ts";

/** What a process takes. Undefined: the system does not say. */
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

/** Tells what this process takes (proc(5)). */
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

/** The limit does not change as long as the process lives. */
let maxFiles: Promise<number | undefined> | undefined;

function readMaxFiles(): Promise<number | undefined> {
  return maxFiles ??= readKernelFile(`/proc/${Deno.pid}/limits`).then(
    (limits) => {
      const match = /^Max open files\s+(\d+)/m.exec(limits);
      return match ? Number(match[1]) : undefined;
    },
    () => undefined,
  );
}

async function countOpenFiles(): Promise<number | undefined> {
  const path = `/proc/${Deno.pid}/fd`;
  try {
    // The one that reads them is not counted.
    return [...Deno.readDirSync(path)].length - 1;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotCapable)) return undefined;
  }
  try {
    // The runtime lets only those look there that may do everything. Since
    // Linux 6.2 the size of the folder is the number; before it is 0.
    const { success, stdout } = await new Deno.Command("stat", {
      args: ["-c", "%s", path],
      env: { LC_ALL: "C" },
      stdin: "null",
      stderr: "null",
    }).output();
    const count = Number(new TextDecoder().decode(stdout));
    return success && count > 0 ? count : undefined;
  } catch {
    return undefined;
  }
}
