import { NetError } from "../base/error.ts";
import type { Check, Entry, Key, Store } from "../store/store.ts";
import { readEntry } from "./read_entry.ts";

// A registry that is moving to another store, or has left this one, carries a
// mark. Nobody uses a registry with a mark: agents that still run with its store
// answer with the place of the registry.

/** Key of the mark on a registry that moves, or has moved, to another store. */
export const MOVED_KEY: Key = ["cluster", "moved"];
/** Key of the mark on a registry that has not arrived completely. */
export const MIGRATING_KEY: Key = ["cluster", "migrating"];

/** The checks of a commit that does not check the registry's own counter. */
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
  /** Whether it has arrived completely, so that only the other store is valid. */
  readonly isComplete: boolean;
}

/** Under {@linkcode MIGRATING_KEY}. */
export interface MigratingMark {
  readonly id: string;
  /** URL of the other store; {@linkcode FROM_MEMBERS}: it is being rebuilt. */
  readonly from: string;
  /** Id of the cluster whose registry it is. */
  readonly clusterId: string;
}

/** The value of {@linkcode MigratingMark.from} while a lost registry is rebuilt from the views of its members. */
export const FROM_MEMBERS = "members";

/** Whether a key is that of a mark. */
export function isMigrationMark(key: Key): boolean {
  return key.length === 2 && key[0] === MOVED_KEY[0] &&
    (key[1] === MOVED_KEY[1] || key[1] === MIGRATING_KEY[1]);
}

/** Reads a mark. @throws {NetError} `failed_precondition` when it is damaged */
export function readMovedMark(entry: Entry): MovedMark {
  return readEntry(entry, "mark", (record) => ({
    id: record.text("id"),
    to: record.text("to"),
    isComplete: record.flag("isComplete"),
  }));
}

/** Reads a mark. @throws {NetError} as {@linkcode readMovedMark} */
export function readMigratingMark(entry: Entry): MigratingMark {
  return readEntry(entry, "mark", (record) => ({
    id: record.text("id"),
    from: record.text("from"),
    clusterId: record.text("clusterId"),
  }));
}

/**
 * The error of an agent that uses a registry with a mark. It is `unavailable`,
 * because a joining node takes any other refusal for its own fault.
 */
export function refuseMarked({ url }: Store, entry: Entry): NetError {
  const cannot = `Cannot use the registry in ${url}`;
  if (entry.key[1] === MIGRATING_KEY[1]) {
    const { from } = readMigratingMark(entry);
    if (from === FROM_MEMBERS) {
      return new NetError(
        "unavailable",
        `${cannot}: it is being rebuilt here; if that was interrupted, run "stellar-net registry rebuild" again`,
      );
    }
    return new NetError(
      "unavailable",
      `${cannot}: it is being moved here from ${from}; if that was interrupted, run "stellar-net store migrate" again`,
      { reason: "MIGRATING", metadata: { from } },
    );
  }
  const { to, isComplete } = readMovedMark(entry);
  if (isComplete) {
    return new NetError(
      "unavailable",
      `${cannot}: it has moved to ${to}; restart this agent with that --store, or with --join and the URL of an agent that has it`,
    );
  }
  return new NetError(
    "unavailable",
    `${cannot}: it is being moved to ${to}; if that was interrupted, run "stellar-net store migrate" again`,
    { reason: "MIGRATING", metadata: { to } },
  );
}

/** @throws {NetError} `unavailable` when the registry in a store has a mark */
export async function checkUnmarked(store: Store): Promise<void> {
  for (const { key } of UNMOVED) {
    const entry = await store.get(key);
    if (entry) throw refuseMarked(store, entry);
  }
}
