import { NetError } from "../base/error.ts";
import { checkPrivateFolder } from "./trusted_path.ts";

/** The files in a state folder. */
const ENTRIES = ["state.db", "state.db-wal", "state.db-shm", "queue"].concat(
  ["", "/key.pem", "/chain.pem", "/trust.json"].map((name) =>
    `identity${name}`
  ),
);

/**
 * Makes a state folder where it is missing (mode 0700), and sees that files
 * can be made in it.
 *
 * @throws {NetError} `unavailable` when the folder cannot be made or written,
 * `failed_precondition` when another user could exchange or write it
 */
export function makeStateDir(path: string): void {
  const probe = `${path}/.probe-${crypto.randomUUID()}`;
  try {
    Deno.mkdirSync(path, { recursive: true, mode: 0o700 });
    Deno.writeTextFileSync(probe, "", { createNew: true, mode: 0o600 });
    Deno.removeSync(probe);
  } catch (cause) {
    throw new NetError(
      "unavailable",
      `Cannot use the state folder "${path}": ${
        describe(cause)
      }; make it a folder that this user can write, or name another with --state`,
      { cause },
    );
  }
  checkPrivateFolder(path, ENTRIES);
}

/** The faults of a folder by code of mkdir(2) and open(2). */
const OBSTACLES: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EPERM: "permission denied",
  EEXIST: "it is not a folder",
  ENOTDIR: "it is not a folder",
  EROFS: "it is on a read-only file system",
  ENOSPC: "no space is left on the device",
};

function describe(cause: unknown): string {
  const { code = "", message } = cause as { code?: string; message?: string };
  return OBSTACLES[code] ?? message ?? String(cause);
}
