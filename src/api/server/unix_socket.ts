import { connect } from "node:net";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type ErrorCode, NetError } from "../../base/error.ts";

/** Bytes of a path in a socket's address, without its closing zero (unix(7)). */
const MAX_PATH_BYTES = 107;
/** As a mask. */
const OWNER_ONLY = 0o177;
const OWNER_AND_GROUP = 0o660;
const TEMPORARY_NAME_LENGTH = 7;
/** Looks at which a socket has to be served before it counts as another agent's. */
const LOOKS = 5;
const LOOK_INTERVAL_MS = 200;

/** Why an agent cannot make a socket file, by code of the system call. */
const OBSTACLES: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  EACCES: [
    "permission_denied",
    "no permission to make a socket there: run the agent as root",
  ],
  EPERM: [
    "permission_denied",
    "no permission to make a socket there: run the agent as root",
  ],
  EEXIST: ["failed_precondition", "its folder is a file"],
  ENOTDIR: ["failed_precondition", "its folder is a file"],
  EROFS: ["failed_precondition", "the file system is read-only"],
  ENOSPC: ["failed_precondition", "no space is left on the device"],
};

/** A socket file that was made, with its inode. */
export interface SocketFile {
  readonly path: string;
  readonly device: number;
  readonly inode: number | null;
}

/** The users of a socket besides its owner. */
export interface SocketAccess {
  /** Number of a group. Undefined: nobody. */
  readonly groupId?: number | undefined;
  /** The flag that names the path, for errors. Default `--socket`. */
  readonly flag?: string;
}

/** Makes a socket file with mode 0600 from the first moment, or with a group and
 * mode 0660. It replaces a socket that nothing listens on.
 * `listen` gets a path beside the wanted one, binds it before it returns, and
 * returns what to await.
 *
 * @throws {NetError} `invalid_argument` when the path is too long,
 * `failed_precondition` when another file or agent is there, `permission_denied`
 */
export async function bindSocketFile(
  path: string,
  listen: (path: string) => Promise<unknown>,
  { groupId, flag = "--socket" }: SocketAccess = {},
): Promise<SocketFile> {
  checkLength(path, flag);
  const temporary = join(dirname(path), temporaryName());
  try {
    await Deno.mkdir(dirname(path), { recursive: true, mode: 0o755 });
    await listenOwnerOnly(temporary, listen);
    try {
      if (groupId !== undefined) giveToGroup(temporary, groupId);
      // Only now: the new file must never be taken for the stale one.
      await removeStale(path, flag);
      nameSocket(temporary, path, flag);
    } finally {
      Deno.removeSync(temporary);
    }
    const { dev, ino } = Deno.lstatSync(path);
    return { path, device: dev, inode: ino };
  } catch (error) {
    throw toNetError(error, path, flag);
  }
}

/** Whether the file of a socket is gone. One that another agent has made is not. */
export async function isSocketGone({ path }: SocketFile): Promise<boolean> {
  return await lstat(path) === undefined;
}

/** Removes a socket file, unless it is gone or another has replaced it. */
export function removeSocketFile(file: SocketFile): void {
  removeIfSame(file.path, { dev: file.device, ino: file.inode });
}

function checkLength(path: string, flag: string): void {
  const bytes = new TextEncoder().encode(path).length;
  const temporary = new TextEncoder().encode(join(dirname(path), "")).length +
    1 + TEMPORARY_NAME_LENGTH;
  const most = MAX_PATH_BYTES - Math.max(0, temporary - bytes);
  if (bytes <= most) return;
  throw new NetError(
    "invalid_argument",
    `Cannot listen on ${
      JSON.stringify(path)
    }: the path has ${bytes} bytes, a socket's ` +
      `has at most ${most}; name a shorter one with ${flag}`,
  );
}

async function removeStale(path: string, flag: string): Promise<void> {
  const before = await lstat(path);
  if (before === undefined) return;
  if (!before.isSocket) {
    throw new NetError(
      "failed_precondition",
      `Cannot listen on ${
        JSON.stringify(path)
      }: it exists and is not a socket; ` +
        `move it away, or name another path with ${flag}`,
    );
  }
  if (await staysServed(path)) throw servedByAnother(path, flag);
  removeIfSame(path, before);
}

/** Removes a file, unless another process has replaced it. */
function removeIfSame(
  path: string,
  before: Pick<Deno.FileInfo, "dev" | "ino">,
): void {
  try {
    const now = Deno.lstatSync(path);
    if (now.dev === before.dev && now.ino === before.ino) Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/**
 * Whether a process goes on listening. A killed agent's socket outlives it in a
 * child that has not yet executed its program.
 */
async function staysServed(path: string): Promise<boolean> {
  for (let look = 0; look < LOOKS; look++) {
    if (look > 0) await delay(LOOK_INTERVAL_MS);
    if (!await isServed(path)) return false;
  }
  return true;
}

function isServed(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ECONNREFUSED" || error.code === "ENOENT") {
        resolve(false);
      } // Its queue is full, so an agent listens.
      else if (error.code === "EAGAIN") resolve(true);
      else reject(error);
    });
  });
}

function listenOwnerOnly(
  path: string,
  listen: (path: string) => Promise<unknown>,
): Promise<unknown> {
  // The mask is the whole process's, but no other code runs before it is reset.
  const mask = Deno.umask(OWNER_ONLY);
  try {
    return listen(path);
  } finally {
    Deno.umask(mask);
  }
}

function giveToGroup(path: string, groupId: number): void {
  try {
    Deno.chownSync(path, null, groupId);
    Deno.chmodSync(path, OWNER_AND_GROUP);
  } catch (cause) {
    if (!(cause instanceof Deno.errors.PermissionDenied)) throw cause;
    throw new NetError(
      "permission_denied",
      `Cannot give the socket to group ${groupId}: this user may not; ` +
        "run the agent as root or as a member of the group, or name another with --socket-group",
      { cause },
    );
  }
}

/** Gives a socket file its name. A rename would replace another agent's. */
function nameSocket(temporary: string, path: string, flag: string): void {
  try {
    Deno.linkSync(temporary, path);
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) {
      throw servedByAnother(path, flag);
    }
    throw error;
  }
}

function servedByAnother(path: string, flag: string): NetError {
  return new NetError(
    "failed_precondition",
    `Cannot listen: another agent listens on ${JSON.stringify(path)}; ` +
      `stop it, or name another path with ${flag}`,
  );
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

function toNetError(error: unknown, path: string, flag: string): NetError {
  if (error instanceof NetError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  const [kind, what] = OBSTACLES[code ?? ""] ??
    ["failed_precondition", message];
  return new NetError(
    kind,
    `Cannot listen on ${JSON.stringify(path)}: ${what}; ` +
      `name another path with ${flag}`,
    { cause: error },
  );
}
