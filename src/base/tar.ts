/** A file or a folder in an archive. */
export interface TarEntry {
  /** At most 100 bytes, without a slash at either end. */
  readonly path: string;
  readonly mode: number;
  /** Content of a file; a folder has none. */
  readonly bytes?: Uint8Array;
}

const BLOCK = 512;
/** An archive ends with two blocks of zeros. */
const END_BLOCKS = 2;

const encoder = new TextEncoder();

/**
 * Formats an archive (POSIX.1-1988 "ustar", tar(5)) with the entries in the
 * given order, all owned by root. Equal entries and times make equal archives.
 *
 * @param modifiedMs time of every entry, in ms since 1970
 * @throws {RangeError} when a path is too long
 */
export function formatTar(
  entries: readonly TarEntry[],
  modifiedMs: number,
): Uint8Array<ArrayBuffer> {
  const blocks = entries.map(({ bytes }) =>
    1 + Math.ceil((bytes?.length ?? 0) / BLOCK)
  );
  const count = blocks.reduce((sum, n) => sum + n, END_BLOCKS);
  const archive = new Uint8Array(count * BLOCK);
  let at = 0;
  for (const [index, entry] of entries.entries()) {
    archive.set(formatHeader(entry, modifiedMs), at);
    if (entry.bytes) archive.set(entry.bytes, at + BLOCK);
    at += blocks[index]! * BLOCK;
  }
  return archive;
}

function formatHeader(
  { path, mode, bytes }: TarEntry,
  modifiedMs: number,
): Uint8Array {
  const header = new Uint8Array(BLOCK);
  const name = encoder.encode(bytes ? path : `${path}/`);
  if (name.length > 100) {
    throw new RangeError(
      `Cannot archive "${path}": its path has more than 100 bytes`,
    );
  }
  const put = (at: number, text: string) =>
    header.set(encoder.encode(text), at);
  const octal = (value: number, digits: number) =>
    `${value.toString(8).padStart(digits, "0")}\0`;
  header.set(name);
  put(100, octal(mode, 7));
  put(108, octal(0, 7));
  put(116, octal(0, 7));
  put(124, octal(bytes?.length ?? 0, 11));
  put(136, octal(Math.floor(modifiedMs / 1000), 11));
  // The checksum counts its own field as blanks.
  put(148, " ".repeat(8));
  put(156, bytes ? "0" : "5");
  put(257, "ustar\x0000");
  put(265, "root");
  put(297, "root");
  const sum = header.reduce((total, byte) => total + byte, 0);
  put(148, `${octal(sum, 6)} `);
  return header;
}
