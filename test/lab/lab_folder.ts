import { run } from "../support/run.ts";
import { listNetns, removeNetns } from "./netns.ts";

/** Each lab has a folder here, named by its id. */
const LABS_DIR = "/run/stellar-net-lab";

/** The id of the lab that the command line builds. It stays when its maker ends. */
export const SHOWN_LAB = "lab";

/** A lab that a process has built for itself: its process id and a number. */
const OWNED_ID = /^(\d+)-\d+$/;
const OWNED_NETNS = /^stn-(\d+-\d+)-/;

/** The folder of a lab. */
export function labDir(id: string): string {
  return `${LABS_DIR}/${id}`;
}

/** The folder with this project's CNI plugin, in the folder of a lab. */
export function labPluginDir(id: string): string {
  return `${labDir(id)}/cni`;
}

/** The name of a network namespace of a lab: `stn-4711-0-host1`. */
export function labNetns(id: string, name: string): string {
  return `stn-${id}-${name}`;
}

/**
 * Makes the folder of a new lab and returns the lab's id: the one that is
 * given, or else a free one of this process's.
 *
 * @throws {Deno.errors.AlreadyExists} when a lab of the given id is there
 */
export async function claimLab(given?: string): Promise<string> {
  await Deno.mkdir(LABS_DIR, { recursive: true, mode: 0o700 });
  if (given !== undefined) {
    await Deno.mkdir(labDir(given), { mode: 0o700 });
    return given;
  }
  for (let number = 0;; number++) {
    const id = `${Deno.pid}-${number}`;
    try {
      await Deno.mkdir(labDir(id), { mode: 0o700 });
      return id;
    } catch (error) {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    }
  }
}

/**
 * Removes a lab however much of it is there: processes, network namespaces
 * with their links, mounts, folder.
 *
 * @returns whether there was anything
 */
export async function removeLab(id: string): Promise<boolean> {
  const names = await listNetns(labNetns(id, ""));
  await removeNetns(names);
  await unmountUnder(labDir(id));
  try {
    await Deno.remove(labDir(id), { recursive: true });
    return true;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return names.length > 0;
  }
}

/** Removes the labs of processes that have ended without doing so. */
export async function removeLeftovers(): Promise<void> {
  const ids = new Set<string>();
  for (const name of await listNetns("stn-")) {
    const id = OWNED_NETNS.exec(name)?.[1];
    if (id !== undefined) ids.add(id);
  }
  for (const { name } of await readLabsDir()) {
    if (OWNED_ID.test(name)) ids.add(name);
  }
  for (const id of ids) {
    if (!await isAlive(Number(OWNED_ID.exec(id)![1]))) await removeLab(id);
  }
}

/** Unmounts what is mounted below a folder: the last one first (proc(5), the fifth field of mountinfo). */
async function unmountUnder(dir: string): Promise<void> {
  const mounts = (await Deno.readTextFile("/proc/self/mountinfo")).split("\n")
    .map((line) => line.split(" ")[4])
    .filter((path) => path?.startsWith(`${dir}/`));
  // Another process may do so at the same time. The removal fails on what stays.
  for (const path of mounts.reverse()) await run("umount", ["--lazy", path!]);
}

async function readLabsDir(): Promise<Deno.DirEntry[]> {
  try {
    return await Array.fromAsync(Deno.readDir(LABS_DIR));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

/** Whether a process is there and has not ended (proc(5), the third field of stat). */
async function isAlive(pid: number): Promise<boolean> {
  try {
    const stat = await Deno.readTextFile(`/proc/${pid}/stat`);
    return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(")") + 2));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
