import { connect } from "node:net";
import { dirname, join } from "node:path";
import { NetError } from "../error.ts";
import { quote } from "../net/address.ts";

/** Bytes of a path in a socket's address, its closing zero left out (unix(7)). */
const MAX_PATH_BYTES = 107;
const OWNER_ONLY = 0o177;
const TEMPORARY_NAME_LENGTH = 7;

/** Where a socket file was made: two of these differ when the files do. */
export interface SocketFile {
  readonly path: string;
  readonly device: number;
  readonly inode: number | null;
}

/**
 * Makes a socket file that only its owner can use, with mode 0600 from the
 * first moment. A file that nothing listens on is replaced.
 *
 * `listen` gets a path beside the wanted one, and has to have bound it when it
 * returns; what it returns is awaited.
 *
 * @throws {NetError} `invalid_argument` when the path is too long,
 * `failed_precondition` when something is in the way, `permission_denied`
 */
export async function bindSocketFile(
  path: string,
  listen: (path: string) => Promise<unknown>,
): Promise<SocketFile> {
  checkLength(path);
  const temporary = join(dirname(path), temporaryName());
  try {
    await Deno.mkdir(dirname(path), { recursive: true, mode: 0o755 });
    await removeStale(path);
    await listenOwnerOnly(temporary, listen);
    try {
      // A link, unlike a rename, never replaces what another agent has made.
      Deno.linkSync(temporary, path);
    } finally {
      Deno.removeSync(temporary);
    }
    const { dev, ino } = Deno.lstatSync(path);
    return { path, device: dev, inode: ino };
  } catch (error) {
    throw toNetError(error, path);
  }
}

/** Removes a socket file, unless another has taken its place. */
export async function removeSocketFile(file: SocketFile): Promise<void> {
  const info = await lstat(file.path);
  if (info?.dev !== file.device || info.ino !== file.inode) return;
  await Deno.remove(file.path);
}

function checkLength(path: string): void {
  const bytes = new TextEncoder().encode(path).length;
  const temporary = new TextEncoder().encode(join(dirname(path), "")).length +
    1 + TEMPORARY_NAME_LENGTH;
  const most = MAX_PATH_BYTES - Math.max(0, temporary - bytes);
  if (bytes <= most) return;
  throw new NetError(
    "invalid_argument",
    `Cannot listen on ${
      quote(path)
    }: the path has ${bytes} bytes, a socket's ` +
      `has at most ${most}; name a shorter one with --socket`,
  );
}

async function removeStale(path: string): Promise<void> {
  const before = await lstat(path);
  if (before === undefined) return;
  if (!before.isSocket) {
    throw new NetError(
      "failed_precondition",
      `Cannot listen on ${quote(path)}: it exists and is not a socket; ` +
        "move it away, or name another path with --socket",
    );
  }
  if (await isServed(path)) {
    throw new NetError(
      "failed_precondition",
      `Cannot listen: another agent listens on ${quote(path)}; ` +
        "stop it, or name another path with --socket",
    );
  }
  const { dev, ino } = Deno.lstatSync(path);
  if (dev === before.dev && ino === before.ino) Deno.removeSync(path);
}

function isServed(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ECONNREFUSED") resolve(false);
      // Its queue is full: it is there.
      else if (error.code === "EAGAIN") resolve(true);
      else reject(error);
    });
  });
}

function listenOwnerOnly(
  path: string,
  listen: (path: string) => Promise<unknown>,
): Promise<unknown> {
  // The mask holds for the process, but nothing else runs before it is back.
  const mask = Deno.umask(OWNER_ONLY);
  try {
    return listen(path);
  } finally {
    Deno.umask(mask);
  }
}

function temporaryName(): string {
  const random = crypto.getRandomValues(new Uint8Array(3)).toHex();
  return `.${random}`;
}

async function lstat(path: string): Promise<Deno.FileInfo | undefined> {
  try {
    return await Deno.lstat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

function toNetError(error: unknown, path: string): unknown {
  if (error instanceof NetError) return error;
  const { code } = error as { readonly code?: unknown };
  const start = `Cannot listen on ${quote(path)}: `;
  switch (code) {
    case "EACCES":
    case "EPERM":
      return new NetError(
        "permission_denied",
        start + "no permission to make a socket there; " +
          "run the agent as root, or name another path with --socket",
        { cause: error },
      );
    case "EROFS":
    case "ENOSPC":
    case "EEXIST":
    case "ENOTDIR":
    default:
      return new NetError(
        "failed_precondition",
        start + `${(error as Error).message}; name another path with --socket`,
        { cause: error },
      );
  }
}
