import { NetError } from "../../base/error.ts";
import { checkPrivateFiles } from "../../system/trusted_path.ts";
import { toStoreError } from "./error.ts";

/** Suffixes of the files that the engine keeps beside its own. */
export const BESIDE: readonly string[] = ["-wal", "-shm", "-journal"];

/**
 * Paths held by this process. Opening and closing a second handle would drop the
 * engine's locks on the file (POSIX, fcntl(2)).
 */
const held = new Set<string>();

/** A state file that only this process may open. */
export interface HeldFile {
  /** Lets others open the file. Close the engine first. */
  release(): void;
}

/**
 * Locks a state file for this process until it is released or the process ends:
 * two agents on one file would give out the same addresses. It creates a missing
 * file with mode 0600, which the engine copies to the files beside it.
 *
 * @throws {NetError} `unavailable` when another holds it, as `refuseLinks`,
 * otherwise as `toStoreError`
 */
export async function holdFile(path: string): Promise<HeldFile> {
  const action = `open the state file "${path}"`;
  if (held.has(path)) throw inUse(action);
  held.add(path);
  let file: Deno.FsFile | undefined;
  try {
    refuseLinks(path);
    file = await Deno.open(path, {
      read: true,
      write: true,
      create: true,
      mode: 0o600,
    });
    if (!(await file.stat()).isFile) {
      throw new NetError(
        "failed_precondition",
        `Cannot ${action}: it is not a regular file; name another`,
      );
    }
    if (!await file.tryLock(true)) throw inUse(action);
  } catch (error) {
    file?.close();
    held.delete(path);
    throw toStoreError(error, action);
  }
  const lock = file;
  return {
    release() {
      lock.close();
      held.delete(path);
    },
  };
}

/**
 * Refuses a state file, or one beside it, that is a link or that another user
 * could exchange or write. The engine follows links: call this directly before it
 * opens the file.
 *
 * @throws {NetError} `failed_precondition`
 */
export function refuseLinks(path: string): void {
  checkPrivateFiles([path, ...BESIDE.map((end) => path + end)]);
}

/** Path of the file to which a state is restored before it is renamed. */
export function restoringPath(path: string): string {
  return `${path}.restoring`;
}

/**
 * Refuses the path of a state whose restore was interrupted: the agent must not
 * start with an empty state there.
 *
 * @throws {NetError} `failed_precondition`
 */
export async function refuseHalfRestored(path: string): Promise<void> {
  const action = `open the state file "${path}"`;
  const half = restoringPath(path);
  try {
    await Deno.lstat(half);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw toStoreError(error, action);
  }
  throw new NetError(
    "failed_precondition",
    `Cannot ${action}: a restore was interrupted; restore again, or remove "${half}" to begin without`,
  );
}

function inUse(action: string): NetError {
  return new NetError(
    "unavailable",
    `Cannot ${action}: it is in use; stop the agent that has it open`,
  );
}
