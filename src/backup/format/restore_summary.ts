import type { BackupHeader } from "./format.ts";

/** What to restore, and where to. */
export interface RestoreRequest {
  /** Path of the backup. */
  readonly file: string;
  /** Folder of the state. */
  readonly stateDir: string;
  /** How long the registry waits for those whom the backup does not know, in ms. */
  readonly settleMs: number;
  /** Only says what would be done. */
  readonly dryRun: boolean;
}

/** What was restored, or would be. */
export interface RestoreSummary {
  readonly header: BackupHeader;
  readonly entries: number;
  /** Whether the registry is in it. */
  readonly hasRegistry: boolean;
  /** How many nodes the registry has. */
  readonly nodes: number;
  /** How many addresses are held. */
  readonly held: number;
  /** How many records of the history there are. */
  readonly history: number;
}
