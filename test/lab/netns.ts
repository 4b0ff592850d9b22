import { setTimeout as delay } from "node:timers/promises";
import { run } from "../support/run.ts";

/** Where `ip netns` shows namespaces by name. */
const NETNS_DIR = "/run/netns";

/** How long processes may take to end after SIGKILL. */
const END_TIMEOUT_MS = 60_000;

/** The path of a network namespace, as CNI wants it. */
export function netnsPath(name: string): string {
  return `${NETNS_DIR}/${name}`;
}

/** The arguments with which `ip` runs a command in a network namespace. */
export function execArgs(netns: string, line: readonly string[]): string[] {
  return ["netns", "exec", netns, ...line];
}

/** Runs commands of `ip` in a network namespace, one a line. The first that fails ends it. */
export async function ipBatch(
  netns: string,
  lines: readonly string[],
): Promise<void> {
  await must(["-n", netns, "-batch", "-"], `${lines.join("\n")}\n`);
}

/** Makes a network namespace, with its loopback interface up. */
export async function addNetns(name: string): Promise<void> {
  await must(["netns", "add", name]);
  await ipBatch(name, ["link set lo up"]);
}

/** The names that begin with a prefix, of the network namespaces that are there. */
export async function listNetns(prefix: string): Promise<string[]> {
  try {
    const entries = await Array.fromAsync(Deno.readDir(NETNS_DIR));
    return entries.map(({ name }) => name)
      .filter((name) => name.startsWith(prefix)).sort();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

/** Ends all processes in network namespaces and removes these. One that is gone is not an error. */
export async function removeNetns(names: readonly string[]): Promise<void> {
  await endProcesses(names);
  await Promise.all(names.map(async (name) => {
    const { code, stderr } = await run("ip", ["netns", "del", name]);
    // Another process may clean up too.
    if (code !== 0 && (await listNetns(name)).includes(name)) {
      throw new Error(`Cannot remove the namespace ${name}: ${stderr.trim()}`);
    }
  }));
}

/**
 * The ids of the processes in network namespaces. What is in a namespace that
 * a lab has made was started for it, whatever the processes in between: unlike
 * a process id that was written down, this cannot mean another process later.
 */
export async function pidsIn(names: readonly string[]): Promise<number[]> {
  const paths = names.map(netnsPath);
  const wanted = new Set(await Promise.all(paths.map(identify)));
  wanted.delete(undefined);
  wanted.delete(await identify("/proc/self/ns/net"));
  const found = (await Array.fromAsync(Deno.readDir("/proc")))
    .filter(({ name }) => /^\d+$/.test(name))
    .map(async ({ name }) => {
      const netns = await identify(`/proc/${name}/ns/net`);
      return wanted.has(netns) ? [Number(name)] : [];
    });
  return (await Promise.all(found)).flat();
}

async function endProcesses(names: readonly string[]): Promise<void> {
  const deadline = Date.now() + END_TIMEOUT_MS;
  // They may start others until the last is gone.
  for (;;) {
    const pids = await pidsIn(names);
    if (pids.length === 0) return;
    if (Date.now() > deadline) {
      throw new Error(
        `Cannot end the processes ${pids.join(", ")} in ${names.join(", ")}: ` +
          `they are there ${END_TIMEOUT_MS} ms after SIGKILL`,
      );
    }
    pids.forEach(killIfThere);
    await delay(10);
  }
}

function killIfThere(pid: number): void {
  try {
    Deno.kill(pid, "SIGKILL");
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** What tells a namespace from all others, or undefined when there is none. */
async function identify(path: string): Promise<string | undefined> {
  try {
    const { dev, ino } = await Deno.stat(path);
    return `${dev}:${ino}`;
  } catch {
    // The process has ended, or the namespace is gone.
    return undefined;
  }
}

async function must(args: readonly string[], stdin = ""): Promise<void> {
  const { code, stderr } = await run("ip", args, { stdin });
  if (code === 0) return;
  const what = [["ip", ...args].join(" "), stdin.trim()].join("\n").trim();
  throw new Error(`Cannot run ${what}: ${stderr.trim()}`);
}
