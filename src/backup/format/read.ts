import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import {
  type BackupEntry,
  type BackupHeader,
  type BackupTrailer,
  parseHeader,
  parseLine,
  refuse,
} from "./format.ts";

/** Most bytes of a line: more than a value and its key can have. */
const MAX_LINE_BYTES = 1024 * 1024;
const NEWLINE = 0x0a;

/** A part of a backup. The header comes first. */
export type BackupPart =
  | { readonly kind: "header"; readonly header: BackupHeader }
  | { readonly kind: "entry"; readonly entry: BackupEntry };

/**
 * Reads a backup as its bytes arrive. Only its end tells whether it is complete
 * and unchanged: do not rely on any part of it before.
 *
 * Throws a NetError, `failed_precondition`, for a backup that is damaged, cut,
 * changed or of a newer format.
 */
export class BackupReader {
  readonly #hash = createHash("sha256");
  readonly #decoder = new TextDecoder("utf-8", {
    fatal: true,
    ignoreBOM: true,
  });
  /** The start of a line, in pieces. */
  #rest: Uint8Array[] = [];
  #restBytes = 0;
  #lines = 0;
  #entries = 0;
  #isDone = false;

  /** Takes the next bytes, and returns the parts that they complete. */
  *push(piece: Uint8Array): Generator<BackupPart> {
    let from = 0;
    for (;;) {
      const end = piece.indexOf(NEWLINE, from);
      if (end === -1) break;
      const line = Buffer.concat([
        ...this.#rest,
        piece.subarray(from, end + 1),
      ]);
      this.#rest = [];
      this.#restBytes = 0;
      from = end + 1;
      const part = this.#read(line);
      if (part) yield part;
    }
    if (from === piece.length) return;
    this.#rest.push(piece.subarray(from));
    this.#restBytes += piece.length - from;
    if (this.#restBytes > MAX_LINE_BYTES) {
      throw refuse("a line of it has no end; use another backup");
    }
  }

  /** Returns the number of entries. @throws {NetError} when the backup is incomplete */
  end(): number {
    if (this.#lines === 0 && this.#restBytes === 0) {
      throw refuse("it is empty; use another backup");
    }
    if (!this.#isDone) {
      throw refuse(
        "it is cut short: its last line is missing; use another backup",
      );
    }
    if (this.#restBytes > 0) throw followed();
    return this.#entries;
  }

  #read(bytes: Uint8Array): BackupPart | undefined {
    const line = this.#decode(bytes);
    this.#lines++;
    if (this.#isDone) throw followed();
    if (this.#lines === 1) {
      const header = parseHeader(line);
      this.#hash.update(bytes);
      return { kind: "header", header };
    }
    const parsed = parseLine(line, this.#lines);
    if (!("key" in parsed)) return this.#finish(parsed);
    this.#hash.update(bytes);
    this.#entries++;
    return { kind: "entry", entry: parsed };
  }

  #finish({ entries, sha256 }: BackupTrailer): undefined {
    this.#isDone = true;
    if (entries !== this.#entries) {
      throw refuse(
        `it should have ${entries} entries, and has ${this.#entries}; use another backup`,
      );
    }
    if (sha256 === this.#hash.digest("hex")) return;
    throw refuse(
      "its checksum is another: it was changed after it was made; use another backup",
    );
  }

  #decode(line: Uint8Array): string {
    try {
      return this.#decoder.decode(line.subarray(0, -1));
    } catch {
      throw refuse("it is not UTF-8 text; use another backup");
    }
  }
}

/** Reads a whole backup: see {@linkcode BackupReader}. */
export async function* readBackup(
  pieces: AsyncIterable<Uint8Array>,
): AsyncGenerator<BackupPart> {
  const reader = new BackupReader();
  for await (const piece of pieces) yield* reader.push(piece);
  reader.end();
}

function followed(): Error {
  return refuse("something follows its last line; use another backup");
}
