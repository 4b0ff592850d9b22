import type { Prefix } from "../net/prefix.ts";
import type { StoreChoice } from "../config/config.ts";
import type { BackupHeader } from "./format/format.ts";

/** The request to move a registry to another store. */
export interface MigrationRequest {
  readonly from: StoreChoice;
  readonly to: StoreChoice;
  /** Folder of the state, if one of the stores is a file. */
  readonly stateDir: string;
  /** Checks, and writes nothing. */
  readonly dryRun: boolean;
  readonly onProgress: (progress: MigrationProgress) => void;
}

export interface RegistrySize {
  readonly nodes: number;
  /** Subnets that are owned, reserved or released. */
  readonly subnets: number;
  /** Extra routes. */
  readonly routes: number;
  /** Addresses held by nodes without an agent. */
  readonly held: number;
  /** Records of the history of such nodes. */
  readonly history: number;
  readonly entries: number;
  /** Of keys and values, as JSON. */
  readonly bytes: number;
}

/** The outcome of a migration. */
export interface MigrationSummary extends RegistrySize {
  /** URL of the store that had the registry. */
  readonly from: string;
  /** URL of the store that has it now. */
  readonly to: string;
  readonly clusterId: string;
  /** Whether it resumed an earlier attempt. */
  readonly isResumed: boolean;
}

export type MigrationProgress =
  /** The registry accepts no more changes. */
  | { readonly kind: "frozen" }
  | {
    readonly kind: "copied";
    readonly entries: number;
    readonly total: number;
  }
  /** Every entry is the same in both stores. */
  | { readonly kind: "verified" };

/** The request to give the free space of a state file back. */
export interface CompactRequest {
  /** Folder of the state. */
  readonly stateDir: string;
  /** Age at which records of the history are removed first, in ms; undefined: none is removed. */
  readonly keepHistoryMs: number | undefined;
}

/** A compacted state file. */
export interface CompactSummary {
  readonly file: string;
  readonly bytesBefore: number;
  readonly bytesAfter: number;
  readonly entries: number;
  /** Number of removed records of the history. */
  readonly removed: number;
}

/** The request to restore a backup. */
export interface RestoreRequest {
  /** Path of the backup. */
  readonly file: string;
  /** Folder of the state. */
  readonly stateDir: string;
  /** Length of the registry's grace period, in ms. */
  readonly settleMs: number;
  /** Whether to restore the registry even if an agent answers where it was. */
  readonly force: boolean;
  /** Checks, and writes nothing. */
  readonly dryRun: boolean;
}

/** The contents of a restored backup. */
export interface RestoreSummary {
  readonly header: BackupHeader;
  readonly entries: number;
  /** Whether it contains the registry. */
  readonly hasRegistry: boolean;
  /** Number of nodes of the registry. */
  readonly nodes: number;
  /** Number of held addresses. */
  readonly held: number;
  /** Number of records of the history. */
  readonly history: number;
}

/** The request to make this machine that of a state. */
export interface AcceptRequest {
  /** Folder of the state. */
  readonly stateDir: string;
}

/** The request to rebuild a lost registry, in the state of a member, a new one or etcd. */
export interface RebuildRequest {
  /** Folder of the state. With reports it may have none. */
  readonly stateDir: string;
  /** The store of the new registry. */
  readonly store: StoreChoice;
  /** Paths of backups of other members. */
  readonly reports: readonly string[];
  /** Length of the grace period in which members come back, in ms. */
  readonly settleMs: number;
  /** Reports, and writes nothing. */
  readonly dryRun: boolean;
}

/** The contents of a rebuilt registry. */
export interface RebuildSummary {
  /** URL of the store that has it. */
  readonly store: string;
  readonly clusterId: string;
  /** The node whose state it is; empty for a new state. */
  readonly node: string;
  /** The last revision of the lost registry that a member knows. */
  readonly revision: number;
  /** The members that reported, and the revision that each knows; the newest first. */
  readonly reports: readonly {
    readonly node: string;
    readonly revision: number;
  }[];
  readonly conflicts: readonly RebuildConflict[];
  /** All nodes that they know. */
  readonly nodes: readonly {
    readonly name: string;
    readonly subnets: readonly Prefix[];
    /** Without one the lost registry held its addresses, which are lost, too. */
    readonly hasAgent: boolean;
  }[];
  /** Number of extra routes. */
  readonly routes: number;
}

/** A subnet that the reports give to different nodes. */
export interface RebuildConflict {
  readonly subnet: Prefix;
  /** The node that gets it. */
  readonly kept: string;
  /** The member that reports so. */
  readonly keptBy: string;
  /** The node that does not get it. */
  readonly node: string;
  /** The member that reports so. */
  readonly by: string;
}
