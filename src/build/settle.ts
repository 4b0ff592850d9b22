/** Number of older unpacked programs that stay. */
const KEPT = 3;
/** Age after which the leftovers of an interrupted unpacking are removed. */
const LEFTOVER_MS = 3_600_000;

/** Codes of rename(2) when the target exists. */
const IN_THE_WAY = ["ENOTEMPTY", "EEXIST", "ENOTDIR", "EISDIR"];

export interface SettleOptions {
  /** Whether to replace an existing target, which is an error otherwise. */
  readonly replace: boolean;
}

/**
 * Renames a folder into its place after its files have reached the disk.
 *
 * @throws {Error} when the target exists, or the folder cannot be moved
 */
export function settle(
  folder: string,
  place: string,
  { replace }: SettleOptions,
): void {
  syncAll(folder);
  const aside = `${folder}.old`;
  while (!tryRename(folder, place, replace)) {
    removeIfThere(aside);
    tryRename(place, aside, false);
  }
  sync(parentOf(place));
  removeIfThere(aside);
}

/** Returns false when the target exists and that is allowed. */
function tryRename(from: string, to: string, mayFail: boolean): boolean {
  try {
    Deno.renameSync(from, to);
    return true;
  } catch (error) {
    const { code } = error as { code?: string };
    if (mayFail && IN_THE_WAY.includes(code ?? "")) return false;
    throw error;
  }
}

/** Removes the leftovers of interrupted unpackings, and all but the newest older programs. */
export function tidy(place: string): void {
  const dir = parentOf(place);
  const programs: { readonly path: string; readonly atMs: number }[] = [];
  for (const { name } of Deno.readDirSync(dir)) {
    const path = `${dir}/${name}`;
    const atMs = changedAtMs(path);
    if (name.startsWith(".")) {
      if (Date.now() - atMs > LEFTOVER_MS) removeIfThere(path);
    } else if (path !== place && !name.endsWith(".stamp")) {
      programs.push({ path, atMs });
    }
  }
  programs.sort((a, b) => b.atMs - a.atMs);
  for (const { path } of programs.slice(KEPT)) {
    removeIfThere(`${path}.stamp`);
    removeIfThere(path);
  }
}

function syncAll(path: string): void {
  for (const { name, isDirectory } of Deno.readDirSync(path)) {
    if (isDirectory) syncAll(`${path}/${name}`);
    else sync(`${path}/${name}`);
  }
  sync(path);
}

function sync(path: string): void {
  using file = Deno.openSync(path);
  file.syncDataSync();
}

function changedAtMs(path: string): number {
  try {
    return Deno.lstatSync(path).mtime?.getTime() ?? 0;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return Date.now();
    throw error;
  }
}

function removeIfThere(path: string): void {
  try {
    Deno.removeSync(path, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/"));
}

if (import.meta.main) {
  const [folder, place, how] = Deno.args;
  settle(folder!, place!, { replace: how === "replace" });
  tidy(place!);
}
