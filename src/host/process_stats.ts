import process from "node:process";

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
export function readProcessStats(): ProcessStats {
  const { rss, heapUsed } = Deno.memoryUsage();
  const { user, system } = process.cpuUsage();
  return {
    startedAtMs: performance.timeOrigin,
    cpuSeconds: (user + system) / 1e6,
    residentBytes: rss,
    heapBytes: heapUsed,
    openFiles: tryTo(() => [...Deno.readDirSync("/proc/self/fd")].length - 1),
    maxFiles: tryTo(readMaxFiles),
  };
}

function readMaxFiles(): number | undefined {
  const limits = Deno.readTextFileSync("/proc/self/limits");
  const match = /^Max open files\s+(\d+)/m.exec(limits);
  return match ? Number(match[1]) : undefined;
}

/** What lies in /proc needs all permissions, and a Linux kernel. */
function tryTo<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
