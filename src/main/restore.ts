import { resolve } from "node:path";
import { restoreState } from "../backup/restore.ts";
import { readBackup } from "../backup/format/read.ts";
import type { RestoreRequest, RestoreSummary } from "../backup/port.ts";
import { DenoWholeFiles } from "../system/deno_whole_files.ts";
import { makeStateDir } from "../system/state_dir.ts";
import { NewStateFile } from "../store/deno_kv/state_file.ts";

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
