import { NetError } from "../error.ts";

/** A state folder that no other process uses. */
export interface StateDir extends Disposable {
  readonly path: string;
}

/**
 * Makes a state folder (mode 0700) and locks it. The lock goes with the
 * process, however it ends.
 *
 * @throws {NetError} `unavailable` when the folder cannot be made or written,
 * `failed_precondition` when another process uses it
 */
export function openStateDir(path: string): StateDir {
  const file = openLockFile(path);
  let isLocked: boolean;
  try {
    isLocked = file.tryLockSync(true);
  } catch (cause) {
    file.close();
    throw cause;
  }
  if (isLocked) return { path, [Symbol.dispose]: () => file.close() };
  file.close();
  throw new NetError(
    "failed_precondition",
    `Cannot use the state folder "${path}": another agent uses it; stop that one, or give this one its own with --state`,
  );
}

function openLockFile(path: string): Deno.FsFile {
  try {
    Deno.mkdirSync(path, { recursive: true, mode: 0o700 });
    return Deno.openSync(`${path}/lock`, {
      create: true,
      write: true,
      mode: 0o600,
    });
  } catch (cause) {
    throw new NetError(
      "unavailable",
      `Cannot use the state folder "${path}": ${
        describe(cause)
      }; make it writable for this user, or name another with --state`,
      { cause },
    );
  }
}

function describe(cause: unknown): string {
  if (cause instanceof Deno.errors.PermissionDenied) return "permission denied";
  if (cause instanceof Deno.errors.AlreadyExists) return "it is not a folder";
  if (cause instanceof Deno.errors.NotADirectory) return "it is not a folder";
  return cause instanceof Error ? cause.message : String(cause);
}
