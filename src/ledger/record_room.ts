import type { JsonValue } from "../store/store.ts";

/** Counts records that share a bounded space. */
export interface RecordRoom {
  /** Counts a record and returns whether there is room for it. */
  add(value: JsonValue): boolean;
}

/** The share of the space that a record counts against. */
export interface RecordShare<Kind extends string = string> {
  readonly kind: Kind;
  /** Whose records of the kind count together; empty if all do. */
  readonly owner: string;
}

/** The room of kinds of records, in parts of the number of records. */
export type RoomLimits<Kind extends string = string> = Readonly<
  Record<Kind, {
    /** All records of the kind. */
    readonly all: number;
    /** The records of one owner. */
    readonly each: number;
  }>
>;

/**
 * Makes room for so many records, in shares: no kind and no owner takes the
 * room of another. The kinds together may have room for more than that number.
 */
export function createSharedRoom<Kind extends string>(
  maxRecords: number,
  limits: RoomLimits<Kind>,
  shareOf: (value: JsonValue) => RecordShare<Kind>,
): RecordRoom {
  const counts = new Map<string, number>();
  const fits = (key: string, part: number) => {
    const count = (counts.get(key) ?? 0) + 1;
    counts.set(key, count);
    return count <= Math.max(1, Math.floor(maxRecords * part));
  };
  return {
    add(value) {
      const { kind, owner } = shareOf(value);
      const { all, each } = limits[kind];
      // Records beyond the owner's share take no room of the kind's.
      return fits(`${kind} ${owner}`, each) && fits(kind, all);
    },
  };
}
