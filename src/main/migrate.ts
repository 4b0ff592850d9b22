import { resolve } from "node:path";
import { migrateRegistry } from "../backup/migrate.ts";
import type { MigrationRequest, MigrationSummary } from "../backup/port.ts";
import { makeStateDir } from "../system/state_dir.ts";
import { openStateFile } from "../store/deno_kv/state_file.ts";
import type { Store } from "../store/store.ts";
import { openRegistryStore } from "./stores.ts";

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
