import { dirname, resolve } from "node:path";
import { NetError } from "../base/error.ts";
import { checkLinks } from "./trusted_path.ts";

/** Files that are there as a whole, or not at all. */
export interface WholeFiles {
  /**
   * Writes a file with mode 0600: beside its place first, and there when all
   * of it is on the disk. One that is there is replaced. When the pieces end
   * with an error nothing is left behind.
   *
   * @throws {NetError} `unavailable` when it cannot be written,
   * `failed_precondition` when something else than a file is there, or a link
   * of another user is in its path
   */
  write(
    path: string,
    pieces: AsyncIterable<Uint8Array<ArrayBuffer>>,
  ): Promise<void>;
  /** Reads a file. @throws {NetError} `unavailable` when it cannot be read */
  read(path: string): AsyncIterable<Uint8Array<ArrayBuffer>>;
}

/** Files of this host. */
export class DenoWholeFiles implements WholeFiles {
  async write(
    path: string,
    pieces: AsyncIterable<Uint8Array<ArrayBuffer>>,
  ): Promise<void> {
    const place = await placeOf(path);
    const beside = `${place}.${crypto.randomUUID()}.tmp`;
    try {
      using file = await Deno.open(beside, {
        write: true,
        createNew: true,
        mode: 0o600,
      });
      for await (const piece of pieces) await writeAll(file, piece);
      await file.sync();
      await Deno.rename(beside, place);
      using folder = await Deno.open(dirname(place));
      await folder.sync();
    } catch (error) {
      await Deno.remove(beside).catch(() => {});
      throw toNetError(error, `write "${path}"`);
    }
  }

  async *read(path: string): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    try {
      using file = await Deno.open(path);
      const buffer = new Uint8Array(64 * 1024);
      for (;;) {
        const count = await file.read(buffer);
        if (count === null) return;
        yield buffer.slice(0, count);
      }
    } catch (error) {
      throw toNetError(error, `read "${path}"`);
    }
  }
}

/** The place for a file: behind a link of this user or root, the target of the link. */
async function placeOf(path: string): Promise<string> {
  checkLinks(path);
  let info: Deno.FileInfo;
  let isLink: boolean;
  try {
    isLink = (await Deno.lstat(path)).isSymlink;
    info = await Deno.stat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return resolve(path);
    throw toNetError(error, `write "${path}"`);
  }
  // The file takes the place of a link that somebody puts there meanwhile.
  if (info.isFile) return isLink ? await Deno.realPath(path) : resolve(path);
  throw new NetError(
    "failed_precondition",
    `Cannot write "${path}": it is not a regular file; name another`,
  );
}

async function writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  let rest = bytes;
  while (rest.length > 0) rest = rest.subarray(await file.write(rest));
}

/** The faults by code of open(2), write(2) and rename(2). */
const PROBLEMS: Readonly<Record<string, string>> = {
  EACCES:
    "permission denied; run as a user with the permission, or choose another path",
  ENOENT: "there is no such file or folder",
  ENOTDIR: "a part of its path is not a folder",
  EISDIR: "it is a folder; name a file",
  ENOSPC: "no space is left on the device; free some, or name another place",
  EROFS: "it is on a read-only file system; name another place",
};

function toNetError(error: unknown, action: string): unknown {
  if (error instanceof NetError || !(error instanceof Error)) return error;
  const { code = "" } = error as { code?: string };
  // What the pieces throw is theirs.
  if (code === "") return error;
  return new NetError(
    "unavailable",
    `Cannot ${action}: ${PROBLEMS[code] ?? error.message}`,
    { cause: error },
  );
}
