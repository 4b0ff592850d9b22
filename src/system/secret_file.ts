import { NetError } from "../base/error.ts";

/** The bits of a mode that let others than the owner do something. */
const OTHERS = 0o077;

/**
 * Refuses a file with a secret that others than its owner may read or write.
 * One that is missing, or a folder, is for whoever reads it to tell.
 *
 * @throws {NetError} `failed_precondition` naming the file and its mode
 */
export async function checkSecretFile(path: string): Promise<void> {
  let mode: number | null;
  try {
    const found = await Deno.stat(path);
    if (found.isDirectory) return;
    mode = found.mode;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw new NetError(
      "failed_precondition",
      `Cannot use "${path}": ${
        error instanceof Error ? error.message : String(error)
      }`,
      { cause: error },
    );
  }
  if (mode === null || (mode & OTHERS) === 0) return;
  const text = (mode & 0o7777).toString(8).padStart(4, "0");
  throw new NetError(
    "failed_precondition",
    `Cannot use "${path}": it holds a secret, and its mode is ${text}, so that others on this host may use it; run chmod 600 ${path}`,
  );
}
