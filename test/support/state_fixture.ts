import { join } from "node:path";
import { readBackup } from "../../src/backup/format/read.ts";
import { DenoWholeFiles } from "../../src/system/deno_whole_files.ts";
import type { Store } from "../../src/store/store.ts";
import { ROOT } from "../generate.ts";

/** Path of a state that an earlier version has left. */
export function fixturePath(name: string): string {
  return join(ROOT, "test/fixtures", name);
}

/** Fills a store with what an earlier version has left: a backup, without a restore. */
export async function loadFixture(store: Store, name: string): Promise<void> {
  const bytes = new DenoWholeFiles().read(fixturePath(name));
  for await (const part of readBackup(bytes)) {
    if (part.kind === "entry") await store.commit({ puts: [part.entry] });
  }
}

/** All that is in a store: keys and values as JSON. */
export async function contentsOf(
  store: Store,
): Promise<Record<string, unknown>> {
  const entries = await Array.fromAsync(store.list([]));
  return Object.fromEntries(
    entries.map(({ key, value }) => [JSON.stringify(key), value]),
  );
}
