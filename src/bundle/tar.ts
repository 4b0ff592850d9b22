/** A file of an archive. */
export interface TarFile {
  /** Path in the archive, at most 100 bytes, such as `bundle/status.txt`. */
  readonly path: string;
  readonly bytes: Uint8Array;
}

const BLOCK = 512;
const encoder = new TextEncoder();

/**
 * Makes an archive in the format ustar (POSIX.1-1988, pax(1)) of plain files
 * with mode 0600, owned by root. A few dozen small files are all that there
 * is: that is a page of code, and no package's streams.
 *
 * @param modifiedMs time of every file, in ms since 1970
 * @throws {RangeError} when a path is too long
 */
export function makeTar(
  files: readonly TarFile[],
  modifiedMs: number,
): Uint8Array<ArrayBuffer> {
  const blocks = files.map(({ bytes }) =>
    BLOCK + Math.ceil(bytes.length / BLOCK) * BLOCK
  );
  // Two blocks of zeros end it.
  const size = blocks.reduce((sum, bytes) => sum + bytes, 2 * BLOCK);
  const archive = new Uint8Array(size);
  let at = 0;
  for (const [index, file] of files.entries()) {
    archive.set(makeHeader(file, modifiedMs), at);
    archive.set(file.bytes, at + BLOCK);
    at += blocks[index]!;
  }
  return archive;
}

function makeHeader(
  { path, bytes }: TarFile,
  modifiedMs: number,
): Uint8Array {
  const header = new Uint8Array(BLOCK);
  const put = (text: string, offset: number) =>
    header.set(encoder.encode(text), offset);
  const octal = (value: number, digits: number) =>
    value.toString(8).padStart(digits, "0") + "\0";
  if (encoder.encode(path).length > 100) {
    throw new RangeError(`"${path}" is too long for a path in an archive`);
  }
  put(path, 0);
  put(octal(0o600, 7), 100);
  put(octal(0, 7), 108);
  put(octal(0, 7), 116);
  put(octal(bytes.length, 11), 124);
  put(octal(Math.floor(modifiedMs / 1000), 11), 136);
  // While the checksum is made there are blanks in its place.
  put("        ", 148);
  put("0", 156);
  put("ustar\0" + "00", 257);
  put("root", 265);
  put("root", 297);
  put(octal(header.reduce((sum, byte) => sum + byte, 0), 6) + " ", 148);
  return header;
}
