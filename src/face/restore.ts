import { resolve } from "node:path";
import { restoreState } from "../agent/restore.ts";
import { readBackup } from "../backup/read.ts";
import type {
  RestoreRequest,
  RestoreSummary,
} from "../backup/restore_summary.ts";
import { DenoWholeFiles } from "../host/deno_whole_files.ts";
import { makeStateDir } from "../host/state_dir.ts";
import { NewStateFile } from "../store/new_state_file.ts";

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
