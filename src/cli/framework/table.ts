import { escapeText } from "./text.ts";

const GAP = "  ";

/**
 * Lays out rows in columns, one line a row. Cells are made safe for a terminal;
 * an empty one becomes `-`.
 */
export function formatTable(
  header: readonly string[],
  rows: readonly (readonly string[])[],
): string[] {
  return formatColumns([
    header,
    ...rows.map((row) => row.map((cell) => cell === "" ? "-" : cell)),
  ]);
}

/** Lays out rows in columns without a header; empty cells stay empty. */
export function formatColumns(
  rows: readonly (readonly string[])[],
): string[] {
  const safe = rows.map((row) => row.map(escapeText));
  const widths: number[] = [];
  for (const row of safe) {
    row.forEach((cell, i) => {
      widths[i] = Math.max(widths[i] ?? 0, lengthOf(cell));
    });
  }
  return safe.map((row) =>
    row
      .map((cell, i) => cell + " ".repeat(widths[i]! - lengthOf(cell)))
      .join(GAP)
      .trimEnd()
  );
}

function lengthOf(text: string): number {
  return [...text].length;
}
