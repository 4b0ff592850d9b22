import { createHash } from "node:crypto";
import {
  type BackupEntry,
  type BackupHeader,
  parseHeader,
  parseLine,
  refuse,
} from "./format.ts";

/** Bytes of the longest line: more than a value and its key can have. */
const MAX_LINE_BYTES = 1024 * 1024;

/** What a backup holds, piece by piece. The header comes first. */
export type BackupPart =
  | { readonly kind: "header"; readonly header: BackupHeader }
  | { readonly kind: "entry"; readonly entry: BackupEntry };

/**
 * Reads a backup. That it is whole and as it was written is known at its end
 * only: until then nothing of it is to be relied on.
 *
 * @throws {NetError} `failed_precondition` when it is damaged, cut short,
 * changed or of a newer format
 */
export async function* readBackup(
  pieces: AsyncIterable<Uint8Array>,
): AsyncGenerator<BackupPart> {
  const hash = createHash("sha256");
  let number = 0;
  let entries = 0;
  let isDone = false;
  for await (const { line, bytes } of readLines(pieces)) {
    number++;
    if (isDone) throw refuse(`something follows its last line`);
    if (number === 1) {
      yield { kind: "header", header: parseHeader(line) };
      hash.update(bytes);
      continue;
    }
    const parsed = parseLine(line, number);
    if ("key" in parsed) {
      hash.update(bytes);
      entries++;
      yield { kind: "entry", entry: parsed };
      continue;
    }
    isDone = true;
    if (parsed.entries !== entries) {
      throw refuse(
        `it says that it has ${parsed.entries} entries, and has ${entries}; use another backup`,
      );
    }
    if (parsed.sha256 !== hash.digest("hex")) {
      throw refuse(
        "its checksum is another: it was changed after it was made; use another backup",
      );
    }
  }
  if (number === 0) throw refuse("it is empty; use another backup");
  if (!isDone) {
    throw refuse(
      "it is cut short: its last line is missing; use another backup",
    );
  }
}

/** Reads lines, each with its bytes. A last one without a newline is left out. */
async function* readLines(
  pieces: AsyncIterable<Uint8Array>,
): AsyncGenerator<{ readonly line: string; readonly bytes: Uint8Array }> {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  let rest = new Uint8Array();
  for await (const piece of pieces) {
    let from = 0;
    for (;;) {
      const end = piece.indexOf(0x0a, from);
      if (end === -1) break;
      const bytes = concat(rest, piece.subarray(from, end + 1));
      rest = new Uint8Array();
      from = end + 1;
      yield { line: decode(decoder, bytes), bytes };
    }
    rest = concat(rest, piece.subarray(from));
    if (rest.length > MAX_LINE_BYTES) throw refuse("a line of it has no end");
  }
}

function decode(decoder: TextDecoder, bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes.subarray(0, -1));
  } catch {
    throw refuse("it is not text in UTF-8; use another backup");
  }
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}
