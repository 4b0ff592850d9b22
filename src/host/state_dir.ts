import { NetError } from "../error.ts";

/**
 * Makes a state folder where it is missing (mode 0700), and sees that files
 * can be made in it.
 *
 * @throws {NetError} `unavailable` when the folder cannot be made or written
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
}

function describe(cause: unknown): string {
  if (cause instanceof Deno.errors.PermissionDenied) return "permission denied";
  if (
    cause instanceof Deno.errors.AlreadyExists ||
    cause instanceof Deno.errors.NotADirectory
  ) return "it is not a folder";
  return cause instanceof Error ? cause.message : String(cause);
}
