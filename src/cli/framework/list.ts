import { type Timestamp, timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { Call, CommandSpec } from "./call.ts";
import type { Flag, FlagWithDefault } from "./flag.ts";
import { parseDuration, parseInteger } from "./parsers.ts";
import { CLIENT_FLAGS } from "./target.ts";
import { formatTable } from "./text.ts";

/** The columns of a table: by header, the text of a row's cell. */
export type Columns<Row> = Readonly<Record<string, (row: Row) => string>>;

/** A list, ready to print. */
export interface Listing {
  /** The object of `--json`. */
  readonly body: Readonly<Record<string, unknown>>;
  readonly header: readonly string[];
  /** A row of texts for each row; an empty text means: there is none. */
  readonly cells: readonly (readonly string[])[];
  /** Lines for people beside the answer. */
  readonly notes: readonly string[];
}

/** Makes a list of rows. */
export function createListing<Row>({ body, columns, rows, notes = [] }: {
  readonly body: Readonly<Record<string, unknown>>;
  readonly columns: Columns<Row>;
  readonly rows: readonly Row[];
  readonly notes?: readonly (string | false)[];
}): Listing {
  const format = Object.values(columns);
  return {
    body,
    header: Object.keys(columns),
    cells: rows.map((row) => format.map((cell) => cell(row))),
    notes: notes.filter((note) => note !== false),
  };
}

/** Makes a command that reads and prints a list. It has the flags of clients too. */
export function listCommand(
  { read, flags = [], ...spec }: Omit<CommandSpec, "run"> & {
    readonly read: (call: Call) => Promise<Listing>;
  },
): CommandSpec {
  return {
    ...spec,
    flags: [...flags, ...CLIENT_FLAGS],
    run: async (call) => answerList(call, await read(call)),
  };
}

/** Prints a list. */
export function answerList(call: Call, listing: Listing): void {
  const { body, header, cells, notes } = listing;
  call.answer(body, formatTable(header, cells));
  for (const note of notes) call.note(note);
}

/** The most records that one answer of the agent holds. */
const MAX_LIMIT = 1_000;

export const LIMIT: FlagWithDefault<number> = {
  name: "limit",
  value: "N",
  description: `at most this many records, 1 to ${MAX_LIMIT}`,
  default: "50",
  parse: parseInteger(1, MAX_LIMIT),
};

/** @param which the records within the time, such as `addresses held` */
export function createSince(which: string): Flag<number> {
  return {
    name: "since",
    value: "DURATION",
    description: `only ${which} within this time before now, such as 24h`,
    parse: parseDuration,
  };
}

/** The request's field for a flag of `createSince`; empty where it is not given. */
export function readSince(
  call: Call,
  flag: Flag<number>,
): { readonly since?: Timestamp } {
  const ms = call.value(flag);
  return ms === undefined ? {} : { since: timestampFromMs(call.io.now() - ms) };
}
