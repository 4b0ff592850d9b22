import { createHash } from "node:crypto";
import type { Entry } from "../../store/store.ts";
import {
  type BackupHeader,
  formatEntry,
  formatHeader,
  formatTrailer,
} from "./format.ts";

/** Least size of a piece, in bytes. The last may be smaller. */
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
