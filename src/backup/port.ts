import type { StoreChoice } from "../config/config.ts";
import type { BackupHeader } from "./format/format.ts";

/** A registry that is to move to another store. */
export interface MigrationRequest {
  readonly from: StoreChoice;
  readonly to: StoreChoice;
  /** Folder of the state, where one of them is in a file. */
  readonly stateDir: string;
  /** Only says what would be done. */
  readonly dryRun: boolean;
  readonly onProgress: (progress: MigrationProgress) => void;
}

/** How much a registry keeps. */
export interface RegistrySize {
  readonly nodes: number;
  /** Subnets that are owned, reserved or released. */
  readonly subnets: number;
  /** Extra routes. */
  readonly routes: number;
  /** Addresses that nodes without an agent hold. */
  readonly held: number;
  /** Records of the history of such nodes. */
  readonly history: number;
  readonly entries: number;
  /** Of keys and values, as JSON. */
  readonly bytes: number;
}

/** What became of a migration, or would become. */
export interface MigrationSummary extends RegistrySize {
  /** URL of the store that the registry was in. */
  readonly from: string;
  /** URL of the store that it is in now. */
  readonly to: string;
  readonly clusterId: string;
  /** Whether an earlier attempt was gone on with. */
  readonly isResumed: boolean;
}

/** How far a migration has come. */
export type MigrationProgress =
  /** Nobody changes the registry any more. */
  | { readonly kind: "frozen" }
  /** So many entries of so many have been written. */
  | {
    readonly kind: "copied";
    readonly entries: number;
    readonly total: number;
  }
  /** Both stores were read, and every entry is the same. */
  | { readonly kind: "verified" };

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
