import { type Timestamp, timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { Call, CommandSpec } from "./call.ts";
import type { Flag, FlagWithDefault } from "./flag.ts";
import { parseChoice, parseDuration, parseInteger } from "./parsers.ts";
import { CLIENT_FLAGS, JSON_OUTPUT } from "./target.ts";
import {
  formatAge,
  formatCsv,
  formatJson,
  formatJsonLine,
  formatTable,
  formatUtc,
} from "./text.ts";
import { WATCH, watchScreen } from "./watch.ts";

/** A time in a table: for people its age or date, for programs RFC 3339. */
export interface TimeCell {
  /** RFC 3339; null for none. */
  readonly at: string | null;
  readonly style: "age" | "date";
}

/** A cell. An empty text means: there is none. */
export type Cell = string | TimeCell;

/** The columns of a table: by header, the cell of a row. */
export type Columns<Row> = Readonly<Record<string, (row: Row) => Cell>>;

/** A list, ready to print. */
export interface Listing {
  /** The object of `--json`. */
  readonly body: Readonly<Record<string, unknown>>;
  readonly header: readonly string[];
  readonly cells: readonly (readonly Cell[])[];
  /** The number of columns without those of `-o wide`, which are the last ones. */
  readonly usual: number;
  /** Lines for people beside the answer. */
  readonly notes: readonly string[];
}

/** A cell with the time since a moment. */
export function age(at: string | null): TimeCell {
  return { at, style: "age" };
}

/** A cell with a moment. */
export function date(at: string | null): TimeCell {
  return { at, style: "date" };
}

/** Reads all pages of a list. */
export async function readPages<T>(
  read: (
    pageToken: string,
  ) => Promise<readonly [page: readonly T[], next: string]>,
): Promise<T[]> {
  const all: T[] = [];
  let pageToken = "";
  do {
    const [page, next] = await read(pageToken);
    all.push(...page);
    if (next !== "" && next === pageToken) {
      throw new Error("the agent returned the same page token twice");
    }
    pageToken = next;
  } while (pageToken !== "");
  return all;
}

/** Makes a list of rows. */
export function createListing<Row>(
  { body, columns, wide = {}, rows, notes = [] }: {
    readonly body: Readonly<Record<string, unknown>>;
    readonly columns: Columns<Row>;
    /** More columns of `-o wide` and `-o csv`. */
    readonly wide?: Columns<Row>;
    readonly rows: readonly Row[];
    readonly notes?: readonly (string | false)[];
  },
): Listing {
  const all = { ...columns, ...wide };
  const format = Object.values(all);
  return {
    body,
    header: Object.keys(all),
    cells: rows.map((row) => format.map((cell) => cell(row))),
    usual: Object.keys(columns).length,
    notes: notes.filter((note) => note !== false),
  };
}

const OUTPUTS = ["wide", "json", "csv"] as const;

const OUTPUT: Flag<typeof OUTPUTS[number]> = {
  name: "output",
  letter: "o",
  value: "FORMAT",
  description: "wide (a table with more columns), json or csv",
  defaultNote: "a table",
  completion: OUTPUTS,
  parse: parseChoice(OUTPUTS),
};

/** Makes a command that reads and prints a list. It has the flags of clients and lists too. */
export function listCommand(
  { read, flags = [], ...spec }: Omit<CommandSpec, "run"> & {
    readonly read: (call: Call) => Promise<Listing>;
  },
): CommandSpec {
  return {
    ...spec,
    flags: [...flags, OUTPUT, WATCH, ...CLIENT_FLAGS],
    run: async (call) => {
      const output = readOutput(call);
      if (call.value(WATCH)) {
        return await watchScreen(call, output === "json", async () => {
          const listing = await read(call);
          const { body, notes } = listing;
          const text = formatListing(listing, call.io.now(), output);
          return { body, text, notes };
        });
      }
      const listing = await read(call);
      call.io.stdout(formatListing(listing, call.io.now(), output));
      for (const note of listing.notes) call.note(note);
    },
  };
}

/** Prints a list as the answer of a command that has no flags of lists. */
export function answerList(call: Call, listing: Listing): void {
  call.answer(
    listing.body,
    tableOf(listing, call.io.now(), listing.usual),
  );
  for (const note of listing.notes) call.note(note);
}

/** The forms of a printed list. */
export type Output = "table" | typeof OUTPUTS[number];

/** Reads the form of a list from the flags. */
export function readOutput(call: Call): Output {
  const output = call.value(OUTPUT);
  const isJson = call.value(JSON_OUTPUT) ?? false;
  if (isJson && output !== undefined && output !== "json") {
    throw call.usage(
      `${call.originOf(OUTPUT)} ${output} does not go with ${
        call.originOf(JSON_OUTPUT)
      }: remove one of the two`,
    );
  }
  return isJson ? "json" : output ?? "table";
}

function formatListing(
  listing: Listing,
  nowMs: number,
  output: Output,
): string {
  const { body, header, cells, usual } = listing;
  switch (output) {
    case "json":
      return `${formatJson(body)}\n`;
    case "csv":
      return formatCsv([
        header,
        ...cells.map((row) =>
          row.map((cell) => typeof cell === "string" ? cell : cell.at ?? "")
        ),
      ]);
    case "wide":
    case "table": {
      const count = output === "wide" ? header.length : usual;
      return tableOf(listing, nowMs, count).map((line) => `${line}\n`).join("");
    }
  }
}

/** Formats the only row of a list for a stream of rows: without a header. */
export function formatLine(
  listing: Listing,
  nowMs: number,
  output: Output,
): string {
  switch (output) {
    case "json":
      return `${formatJsonLine(listing.body)}\n`;
    case "csv":
      return formatListing(listing, nowMs, output).split("\r\n").at(1) + "\r\n";
    case "wide":
    case "table": {
      const { header, usual } = listing;
      const count = output === "wide" ? header.length : usual;
      return `${tableOf(listing, nowMs, count).at(1) ?? ""}\n`;
    }
  }
}

function tableOf(
  { header, cells }: Listing,
  nowMs: number,
  count: number,
): string[] {
  const rows = cells.map((row) =>
    row.slice(0, count).map((cell) =>
      typeof cell === "string"
        ? cell
        : cell.style === "age"
        ? formatAge(cell.at, nowMs)
        : formatUtc(cell.at)
    )
  );
  return formatTable(header.slice(0, count), rows);
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
