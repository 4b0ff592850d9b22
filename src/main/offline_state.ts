import { resolve } from "node:path";
import { readBackup } from "../backup/format/read.ts";
import { migrateRegistry } from "../backup/migrate.ts";
import type {
  MigrationRequest,
  MigrationSummary,
  RestoreRequest,
  RestoreSummary,
} from "../backup/port.ts";
import { restoreState } from "../backup/restore.ts";
import { NewStateFile, openStateFile } from "../store/deno_kv/state_file.ts";
import type { Store } from "../store/store.ts";
import { DenoWholeFiles } from "../system/deno_whole_files.ts";
import { makeStateDir } from "../system/state_dir.ts";
import { openRegistryStore } from "./agent_state.ts";

// The commands that work on the state of a stopped agent.

/** Restores a state from a backup. */
export async function restore(
  request: RestoreRequest,
): Promise<RestoreSummary> {
  const files = new DenoWholeFiles();
  const stateDir = resolve(request.stateDir);
  if (!request.dryRun) makeStateDir(stateDir);
  return await restoreState({
    ...request,
    read: () => readBackup(files.read(request.file)),
    state: new NewStateFile(`${stateDir}/state.db`),
  });
}

/** Moves a registry to another store. */
export async function migrate(
  { from, to, ...options }: MigrationRequest,
): Promise<MigrationSummary> {
  const stateDir = resolve(options.stateDir);
  const path = `${stateDir}/state.db`;
  if (to === "file" && !options.dryRun) makeStateDir(stateDir);
  await using stores = new AsyncDisposableStack();
  const keep = (store: Store) => stores.adopt(store, () => store.close());
  const summary = await migrateRegistry({
    ...options,
    source: keep(
      await openRegistryStore({ store: from }) ??
        await openStateFile(path, { missing: "refused" }),
    ),
    target: keep(
      await openRegistryStore({ store: to }) ??
        await openStateFile(path, {
          missing: options.dryRun ? "imagined" : "made",
        }),
    ),
    randomId: () => crypto.randomUUID(),
  });
  return to === "file" ? { ...summary, to: `kv:${path}` } : summary;
}
