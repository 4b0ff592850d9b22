import { formatAgo, formatTimeLeft } from "../../base/duration.ts";
// Text from outside may hold escape sequences, line breaks, or marks that change
// the direction of text: none of them reaches a terminal.
const UNSAFE = /[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu;
const GAP = "  ";
const NEWLINE = 0x0a;

/** Makes a text safe for one line of a terminal: `\u001b` in place of an escape. */
export function escapeText(text: string): string {
  return text.replace(UNSAFE, escapeUnit);
}

/** Formats an answer for programs: one JSON object, safe for a terminal too. */
export function formatJson(body: Readonly<Record<string, unknown>>): string {
  const text = JSON.stringify({ schemaVersion: 1, ...body }, undefined, 2);
  return text.replace(
    UNSAFE,
    (char) => char.charCodeAt(0) === NEWLINE ? char : escapeUnit(char),
  );
}

/** Formats an answer for programs in one line. */
export function formatJsonLine(
  body: Readonly<Record<string, unknown>>,
): string {
  return escapeText(JSON.stringify({ schemaVersion: 1, ...body }));
}

/** Formats rows as CSV (RFC 4180), safe for a terminal too. */
export function formatCsv(rows: readonly (readonly string[])[]): string {
  return rows.map((row) =>
    row.map((cell) => {
      const safe = escapeText(cell);
      return /[",]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
    }).join(",") + "\r\n"
  ).join("");
}

/** Formats a time for people: `2026-01-02 03:04:05Z`. Null gives `-`. */
export function formatUtc(rfc3339: string | null): string {
  if (rfc3339 === null) return "-";
  return `${rfc3339.slice(0, 10)} ${rfc3339.slice(11, 19)}Z`;
}

/** Formats the time since a moment by its largest unit: `3m ago`. Null gives `-`. */
export function formatAge(rfc3339: string | null, nowMs: number): string {
  return rfc3339 === null ? "-" : formatAgo(nowMs - Date.parse(rfc3339));
}

/** Formats when something will be full: `in 3 d`. Null gives an empty text. */
export function formatFull(rfc3339: string | null, nowMs: number): string {
  return rfc3339 === null ? "" : formatTimeLeft(Date.parse(rfc3339) - nowMs);
}

function escapeUnit(char: string): string {
  return "\\u" + char.charCodeAt(0).toString(16).padStart(4, "0");
}

/**
 * Lays out a table, one line a row. Cells are made safe for a terminal; an
 * empty one becomes `-`.
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
