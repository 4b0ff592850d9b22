import { NetError } from "../../base/error.ts";
import type { Entry, JsonValue, Key } from "../../store/store.ts";
import { createHash } from "node:crypto";

/** Version of the format of backups. */
const BACKUP_FORMAT = 1;

/** The first line of a backup. */
export interface BackupHeader {
  /** {@linkcode BACKUP_FORMAT} of the program that made it. */
  readonly stellarNetBackup: number;
  /** Version of the state's schema. */
  readonly schema: number;
  /** Version of the program that made it. */
  readonly program: string;
  /** Id of the cluster, empty before there is one. */
  readonly cluster: string;
  readonly node: string;
  /** Random id of the state. */
  readonly instance: string;
  /** When it was made (RFC 3339). */
  readonly takenAt: string;
}

/** The line of an entry of the state. The lines are in no order. */
export interface BackupEntry {
  readonly key: Key;
  readonly value: JsonValue;
}

/** The last line. */
export interface BackupTrailer {
  /** Number of entries. */
  readonly entries: number;
  /** SHA-256 of all lines before, newlines included, in hexadecimal. */
  readonly sha256: string;
}

/** Formats the first line, newline included. */
export function formatHeader(
  header: Omit<BackupHeader, "stellarNetBackup">,
): string {
  const line: BackupHeader = { stellarNetBackup: BACKUP_FORMAT, ...header };
  return JSON.stringify(line) + "\n";
}

/** Formats the line of an entry, newline included. */
export function formatEntry(
  { key, value }: Pick<Entry, "key" | "value">,
): string {
  return JSON.stringify({ key, value } satisfies BackupEntry) + "\n";
}

/** Formats the last line, newline included. */
export function formatTrailer(trailer: BackupTrailer): string {
  return JSON.stringify(trailer) + "\n";
}

/** Parses the first line. @throws {NetError} `failed_precondition` when it is invalid or of a newer format */
export function parseHeader(line: string): BackupHeader {
  const header = parseObject(line) as Partial<BackupHeader> | undefined;
  const format = header?.stellarNetBackup;
  if (!header || !Number.isSafeInteger(format)) {
    throw refuse("its first line is not that of a backup of stellar-net");
  }
  if (format! > BACKUP_FORMAT) {
    throw refuse(
      `it has version ${format} of the format, and this program knows version ${BACKUP_FORMAT}; use the program that made it, version ${header.program}, or a newer one`,
    );
  }
  const texts = [header.program, header.cluster, header.node, header.instance];
  const isWhole = texts.every((text) => typeof text === "string") &&
    Number.isSafeInteger(header.schema) &&
    Number.isFinite(Date.parse(String(header.takenAt)));
  if (isWhole) return header as BackupHeader;
  throw refuse("its first line is damaged; use another backup");
}

/**
 * Parses any other line.
 *
 * @param number the line's number from 1, for the message
 * @throws {NetError} `failed_precondition` when it is neither an entry nor the last line
 */
export function parseLine(
  line: string,
  number: number,
): BackupEntry | BackupTrailer {
  const parsed = parseObject(line);
  if (isEntry(parsed) || isTrailer(parsed)) return parsed;
  throw refuse(`line ${number} is damaged; use another backup`);
}

/** The error of a backup that cannot be read. */
export function refuse(problem: string): NetError {
  return new NetError(
    "failed_precondition",
    `Cannot read the backup: ${problem}`,
  );
}

function isEntry(parsed: object | undefined): parsed is BackupEntry {
  if (!parsed || !("key" in parsed) || !("value" in parsed)) return false;
  const { key, value } = parsed;
  return Array.isArray(key) && key.length > 0 && value !== null &&
    key.every((part) =>
      typeof part === "string" ? part !== "" : Number.isSafeInteger(part)
    );
}

function isTrailer(parsed: object | undefined): parsed is BackupTrailer {
  return !!parsed && "entries" in parsed && "sha256" in parsed &&
    Number.isSafeInteger(parsed.entries) && typeof parsed.sha256 === "string";
}

function parseObject(line: string): object | undefined {
  try {
    const parsed: unknown = JSON.parse(line);
    return typeof parsed === "object" && parsed !== null ? parsed : undefined;
  } catch {
    return undefined;
  }
}

/** Least size of a piece, in bytes. The last one may be smaller. */
const PIECE_BYTES = 64 * 1024;

/** Writes a backup of some entries, in pieces of about 64 KiB. */
export async function* writeBackup(
  header: Omit<BackupHeader, "stellarNetBackup">,
  entries: AsyncIterable<Pick<Entry, "key" | "value">>,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const encoder = new TextEncoder();
  const hash = createHash("sha256");
  let count = 0;
  let text = formatHeader(header);
  for await (const entry of entries) {
    text += formatEntry(entry);
    count++;
    if (text.length < PIECE_BYTES) continue;
    const piece = encoder.encode(text);
    hash.update(piece);
    yield piece;
    text = "";
  }
  hash.update(text);
  const sha256 = hash.digest("hex");
  yield encoder.encode(text + formatTrailer({ entries: count, sha256 }));
}
