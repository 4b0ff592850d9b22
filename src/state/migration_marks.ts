import { NetError } from "../base/error.ts";
import type { Check, Entry, Key, Store } from "../store/store.ts";
import { readRecord } from "./address_records.ts";

// While a registry moves from one store to another, and ever after in the one
// that it has left, a mark says so. A registry with a mark is not used: agents
// that still run with its store answer with where it is.

/** Key of the mark on a registry that moves, or has moved, to another store. */
export const MOVED_KEY: Key = ["cluster", "moved"];
/** Key of the mark on one that is not all there yet. */
export const MIGRATING_KEY: Key = ["cluster", "migrating"];

/** What a commit has to check that is not bound to the registry's own counter. */
export const UNMOVED: readonly Check[] = [
  { key: MOVED_KEY, version: null },
  { key: MIGRATING_KEY, version: null },
];

/** Under {@linkcode MOVED_KEY}. */
export interface MovedMark {
  /** Random id of the move, the same in both stores. */
  readonly id: string;
  /** URL of the other store. */
  readonly to: string;
  /** Whether all of it is there: then only the other store can be used. */
  readonly isComplete: boolean;
}

/** Under {@linkcode MIGRATING_KEY}. */
export interface MigratingMark {
  readonly id: string;
  /** URL of the other store. */
  readonly from: string;
  /** Id of the cluster whose registry it is. */
  readonly clusterId: string;
}

/** Whether a key is that of a mark. */
export function isMigrationMark(key: Key): boolean {
  return key.length === 2 && key[0] === MOVED_KEY[0] &&
    (key[1] === MOVED_KEY[1] || key[1] === MIGRATING_KEY[1]);
}

/** Reads a mark. @throws {NetError} `failed_precondition` when it is damaged */
export function readMovedMark(entry: Entry): MovedMark {
  return readRecord(entry, () => {
    const { id, to, isComplete } = entry.value as Partial<MovedMark>;
    if (
      typeof id === "string" && typeof to === "string" &&
      typeof isComplete === "boolean"
    ) return { id, to, isComplete };
    throw new TypeError("no mark");
  });
}

/** Reads a mark. @throws {NetError} as {@linkcode readMovedMark} */
export function readMigratingMark(entry: Entry): MigratingMark {
  return readRecord(entry, () => {
    const { id, from, clusterId } = entry.value as Partial<MigratingMark>;
    if (
      typeof id === "string" && typeof from === "string" &&
      typeof clusterId === "string"
    ) return { id, from, clusterId };
    throw new TypeError("no mark");
  });
}

/**
 * What an agent is told that uses a registry with a mark: `unavailable`, for a
 * node that joins takes any other refusal for its own fault.
 */
export function refuseMarked({ url }: Store, entry: Entry): NetError {
  const cannot = `Cannot use the registry in ${url}`;
  if (entry.key[1] === MIGRATING_KEY[1]) {
    const { from } = readMigratingMark(entry);
    return new NetError(
      "unavailable",
      `${cannot}: it is being moved here from ${from}; if that was interrupted, run "stellar-net store migrate" again`,
    );
  }
  const { to, isComplete } = readMovedMark(entry);
  return new NetError(
    "unavailable",
    isComplete
      ? `${cannot}: it has moved to ${to}; restart this agent with that --store, or with --join and the URL of an agent that has it`
      : `${cannot}: it is being moved to ${to}; if that was interrupted, run "stellar-net store migrate" again`,
  );
}

/** @throws {NetError} `unavailable` when the registry in a store has a mark */
export async function checkUnmarked(store: Store): Promise<void> {
  for (const { key } of UNMOVED) {
    const entry = await store.get(key);
    if (entry) throw refuseMarked(store, entry);
  }
}
