import { NetError } from "../../base/error.ts";
import { openDenoKv } from "./deno_kv.ts";
import { toStoreError } from "./error.ts";
import { BESIDE, holdFile, restoringPath } from "./file_lock.ts";
import type { Store } from "../store.ts";

/**
 * A state file that does not exist yet. It is created as a whole: filled under
 * another name and renamed. An agent that starts meanwhile finds the file in
 * use, and one that starts after a killed attempt is refused. The next attempt
 * overwrites what a killed one left.
 */
export class NewStateFile {
  readonly path: string;

  /** @param path absolute; its folder exists */
  constructor(path: string) {
    this.path = path;
  }

  /** @throws {NetError} `failed_precondition` when it is there, `unavailable` when it is in use */
  async check(): Promise<void> {
    if (await sizeOf(this.path) === undefined) return;
    const held = await holdFile(this.path);
    try {
      await this.#refuseState();
    } finally {
      held.release();
    }
  }

  /**
   * Creates the file with the entries that a function writes to a store. If it
   * fails, there is no state. From its start to its end, and after it was
   * killed, no agent starts with an empty state in its place.
   *
   * @param check called before anything is written
   * @throws {NetError} as `check`, and what the functions throw
   */
  async create(
    fill: (store: Store) => Promise<void>,
    check: () => Promise<void> = () => Promise.resolve(),
  ): Promise<void> {
    const beside = restoringPath(this.path);
    // It stays empty until the end: an empty file is not a state.
    const held = await holdFile(this.path);
    try {
      await this.#refuseState();
      await emptyFile(beside);
      await check();
      const store = await openDenoKv({ path: beside });
      try {
        await fill(store);
      } finally {
        await store.close();
      }
      await moveIntoPlace(beside, this.path);
    } catch (error) {
      // In this order: an empty file alone would be a new state.
      await this.#removeEmpty();
      await removeFiles(beside);
      throw toStoreError(error, `make the state file "${this.path}"`);
    } finally {
      held.release();
    }
  }

  async #refuseState(): Promise<void> {
    if (!await hasState(this.path)) return;
    throw new NetError(
      "failed_precondition",
      `Cannot restore to "${this.path}": there is a state already; ` +
        `move it and the files that begin with its name away, or name another folder with --state`,
    );
  }

  /** Removes the file if it is empty. */
  async #removeEmpty(): Promise<void> {
    if (await sizeOf(this.path) === 0) await Deno.remove(this.path);
  }
}

/** Whether there is a state in a file: an empty one is what a killed attempt has left. */
export async function hasState(path: string): Promise<boolean> {
  const sizes = await Promise.all(
    [path, ...BESIDE.map((end) => path + end)].map(sizeOf),
  );
  return sizes.some((size) => size);
}

/** Creates an empty file, or empties what is there. The file is there throughout. */
async function emptyFile(path: string): Promise<void> {
  for (const end of BESIDE) await removeFile(path + end);
  using file = await Deno.open(path, {
    write: true,
    create: true,
    truncate: true,
    mode: 0o600,
  });
  await file.sync();
}

/** Renames a closed file, and syncs the file and its folder. */
async function moveIntoPlace(from: string, to: string): Promise<void> {
  const left = await Promise.all(BESIDE.map((end) => sizeOf(from + end)));
  if (left.some((size) => size)) {
    throw new NetError(
      "internal",
      `Cannot make the state file "${to}": the engine has left its log behind`,
    );
  }
  using file = await Deno.open(from, { read: true, write: true });
  await file.sync();
  await Deno.rename(from, to);
  using folder = await Deno.open(to.slice(0, to.lastIndexOf("/") + 1));
  await folder.sync();
}

/** Bytes of a file, undefined when there is none. */
async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await Deno.stat(path)).size;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw toStoreError(error, `look at "${path}"`);
  }
}

async function removeFiles(path: string): Promise<void> {
  for (const end of ["", ...BESIDE]) await removeFile(path + end);
}

async function removeFile(path: string): Promise<void> {
  try {
    await Deno.remove(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** A state file that was rewritten. */
export interface RewrittenFile<T> {
  readonly result: T;
  readonly bytesBefore: number;
  readonly bytesAfter: number;
}

/**
 * Replaces the state of a stopped agent by a copy, whose file has no free pages:
 * the engine reuses those of removed entries and never shrinks a file. The copy is
 * made beside the file and renamed. Whenever it is killed, the state is there as
 * a whole: the old one or the copy.
 *
 * @param copy copies the entries
 * @throws {NetError} `not_found` when there is no state, `unavailable` when an
 * agent has it open or the disk is full, as `openDenoKv` otherwise
 */
export async function rewriteStateFile<T>(
  path: string,
  copy: (from: Store, to: Store) => Promise<T>,
): Promise<RewrittenFile<T>> {
  const beside = `${path}.compacting`;
  try {
    const from = await openStateFile(path, { missing: "refused" });
    let result: T;
    try {
      await emptyFile(beside);
      const to = await openDenoKv({ path: beside });
      try {
        result = await copy(from, to);
      } finally {
        await to.close();
      }
    } finally {
      await from.close();
    }
    const before = await Deno.stat(path);
    const held = await holdFile(path);
    try {
      const now = await Deno.stat(path);
      if (now.mtime?.getTime() !== before.mtime?.getTime()) {
        throw new NetError(
          "unavailable",
          `Cannot compact the state file "${path}": an agent has used it meanwhile; stop the agent and try again`,
        );
      }
      const bytesAfter = (await Deno.stat(beside)).size;
      await moveIntoPlace(beside, path);
      return { result, bytesBefore: before.size, bytesAfter };
    } finally {
      held.release();
    }
  } catch (error) {
    await removeFiles(beside);
    throw toStoreError(error, `compact the state file "${path}"`);
  }
}

/** Options of {@linkcode openStateFile}. */
export interface StateFileOptions {
  /** A missing file is refused, created, or replaced by an empty store in memory. */
  readonly missing: "refused" | "made" | "imagined";
}

/**
 * Opens the state in a file whose agent is stopped.
 *
 * @throws {NetError} `not_found` when there is none, and as `openDenoKv` does
 */
export async function openStateFile(
  path: string,
  { missing }: StateFileOptions,
): Promise<Store> {
  if (missing === "made" || await exists(path)) {
    return await openDenoKv({ path });
  }
  if (missing === "imagined") return await openDenoKv({ path: ":memory:" });
  throw new NetError(
    "not_found",
    `Cannot open the state file "${path}": there is none; name the folder of the state with --state`,
  );
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw toStoreError(error, `look at "${path}"`);
  }
}
