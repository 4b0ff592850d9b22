/** A file or folder of an archive. */
export interface TarEntry {
  /** Without a slash in front; a folder's has none behind either. At most 100 bytes. */
  readonly path: string;
  readonly mode: number;
  /** What is in a file; a folder has none. */
  readonly bytes?: Uint8Array;
}

const BLOCK = 512;
/** Blocks of zeros at the end. */
const END_BLOCKS = 2;

/**
 * Makes an archive (tar(5), "ustar"), in the order of the entries. Equal entries
 * make equal archives: no time and no owner is in them.
 */
export function formatTar(
  entries: readonly TarEntry[],
): Uint8Array<ArrayBuffer> {
  const blocks = entries.map(({ bytes = new Uint8Array() }) =>
    1 + Math.ceil(bytes.length / BLOCK)
  );
  const count = blocks.reduce((sum, n) => sum + n, END_BLOCKS);
  const archive = new Uint8Array(count * BLOCK);
  let at = 0;
  for (const [index, entry] of entries.entries()) {
    archive.set(formatHeader(entry), at);
    if (entry.bytes) archive.set(entry.bytes, at + BLOCK);
    at += blocks[index]! * BLOCK;
  }
  return archive;
}

function formatHeader({ path, mode, bytes }: TarEntry): Uint8Array {
  const header = new Uint8Array(BLOCK);
  const encoder = new TextEncoder();
  const name = encoder.encode(bytes ? path : `${path}/`);
  if (name.length > 100) {
    throw new RangeError(`Cannot archive "${path}": its path is too long`);
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
  put(136, octal(0, 11));
  put(148, " ".repeat(8));
  put(156, bytes ? "0" : "5");
  put(257, "ustar\x0000");
  const sum = header.reduce((total, byte) => total + byte, 0);
  put(148, `${sum.toString(8).padStart(6, "0")}\0 `);
  return header;
}
