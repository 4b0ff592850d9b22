import type { RegistrySize } from "./registry_parts.ts";

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
