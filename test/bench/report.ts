/** How much a benchmark does. */
export interface BenchOptions {
  /** Whether it only shows that it works. */
  readonly quick: boolean;
  /** How long the one that lasts is to last. */
  readonly minutes?: number;
  /** Folder of the earlier sources to compare with. */
  readonly before?: string;
  /** Calls that the hammer makes. */
  readonly operations?: number;
  /** Decides what the hammer does. */
  readonly seed?: number;
}

/** What a benchmark found: one table, and what to know about it. */
export interface BenchReport {
  readonly title: string;
  readonly columns: readonly string[];
  /** A cell a column. */
  readonly rows: readonly (readonly string[])[];
  readonly notes?: readonly string[];
}

/** A benchmark. */
export type Bench = (options: BenchOptions) => Promise<readonly BenchReport[]>;

/** Formats a report as plain text: the first column to the left, the others to the right. */
export function formatReport(report: BenchReport): string {
  const lines = [report.columns, ...report.rows];
  const widths = report.columns.map((_, column) =>
    Math.max(...lines.map((line) => line[column]!.length))
  );
  const table = lines.map((line) =>
    line.map((cell, column) =>
      column === 0
        ? cell.padEnd(widths[column]!)
        : cell.padStart(widths[column]!)
    ).join("  ").trimEnd()
  );
  const notes = (report.notes ?? []).map((note) => `  ${note}`);
  return [report.title, "", ...table, ...notes, ""].join("\n");
}

/** Formats a number for a table: with as many decimals as its size deserves. */
export function formatNumber(value: number): string {
  return value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0);
}

/** Formats a ratio, such as "1.25x"; "-" where what it compares with was too little to measure. */
export function formatRatio(value: number): string {
  return Number.isFinite(value) ? `${value.toFixed(2)}x` : "-";
}
