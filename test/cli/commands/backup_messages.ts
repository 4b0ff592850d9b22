import {
  type BackupEntry,
  writeBackup,
} from "../../../src/backup/format/format.ts";

/** What a backup of tests is of. */
export const BACKUP_HEADER = {
  schema: 2,
  program: "1.2.3",
  cluster: "cluster-1",
  node: "node1",
  instance: "instance-1",
  takenAt: "2026-01-02T03:04:05.000Z",
};

/** A backup as an agent sends it. */
export async function* backupOf(
  entries: readonly BackupEntry[],
): AsyncGenerator<{ readonly data: Uint8Array<ArrayBuffer> }> {
  for await (const data of writeBackup(BACKUP_HEADER, from(entries))) {
    yield { data };
  }
}

/** A backup without entries, as an agent sends it. */
export function backupOfNothing(): ReturnType<typeof backupOf> {
  return backupOf([]);
}

async function* from<T>(values: readonly T[]): AsyncGenerator<T> {
  yield* values;
}
