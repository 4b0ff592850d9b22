import { NetError } from "../../base/error.ts";
import { openDenoKv } from "./deno_kv.ts";
import { toStoreError } from "./error.ts";
import type { Store } from "../store.ts";

/** How {@linkcode openStateFile} opens one. */
export interface StateFileOptions {
  /** Where there is none: it is refused, made, or an empty one in memory stands for it. */
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
