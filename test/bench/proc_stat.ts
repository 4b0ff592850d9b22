/** Step in which the kernel counts a process's time, in ms (proc(5)). */
export const TICK_MS = 10;

/** Resident memory of a process, in MiB. */
export function residentMiB(pid: number): number {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)![1]) / 1024;
}

/** Processor time that all threads of a process have used, in ms; in steps of 10. */
export function processorMs(pid: number): number {
  const [user, system] = readTimes(pid);
  return user! + system!;
}

/** The same, with the time of the children that have ended. */
export function familyProcessorMs(pid: number): number {
  return readTimes(pid).reduce((sum, ms) => sum + ms, 0);
}

/** User and system time of a process and of its ended children, in ms. */
function readTimes(pid: number): number[] {
  const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
  // The name before may hold spaces and brackets.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields.slice(11, 15)
    .map((ticks) => Number(ticks) * TICK_MS);
}

/**
 * Memory of processes together, in MiB: pages that several of them share count
 * once (Pss in proc(5)). Processes that have ended take none.
 */
export function proportionalMiB(pids: readonly number[]): number {
  const kilobytes = pids.map((pid) => {
    const text = readIfThere(`/proc/${pid}/smaps_rollup`);
    return Number(/^Pss:\s+(\d+) kB$/m.exec(text)?.[1] ?? 0);
  });
  return kilobytes.reduce((sum, kb) => sum + kb, 0) / 1024;
}

/** The processes that a process has started, and those that they have started. */
export function childrenOf(pid: number): number[] {
  const parents = new Map<number, number[]>();
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const stat = readIfThere(`/proc/${name}/stat`);
    const parent = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
    parents.set(parent, [...parents.get(parent) ?? [], Number(name)]);
  }
  const found = [...parents.get(pid) ?? []];
  for (const child of found) found.push(...parents.get(child) ?? []);
  return found;
}

function readIfThere(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    // The process has ended.
    return "";
  }
}
