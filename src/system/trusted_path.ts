import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readFileSync,
} from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { NetError } from "../base/error.ts";

const ROOT = 0;
const GROUP_WRITES = 0o020;
const OTHERS_WRITE = 0o002;
const STICKY = 0o1000;
/** Opening a pipe does not wait for a writer. */
const READ_NO_LINK = constants.O_RDONLY | constants.O_NOFOLLOW |
  constants.O_NONBLOCK;

/** An entry of a folder, as lstat(2) shows it. */
export interface PathEntry {
  readonly path: string;
  readonly isSymlink: boolean;
  readonly isDirectory: boolean;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** The user that uses a path. */
export interface PathUser {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Why a folder above a private one is not safe; undefined when it is. Only its
 * owner, root or this user, may rename what is in it. In a sticky folder, such
 * as `/tmp`, users may rename only their own.
 */
export function faultOfParent(
  { path, mode, uid, gid }: PathEntry,
  user: PathUser,
): string | undefined {
  if (uid !== ROOT && uid !== user.uid) {
    return `"${path}" belongs to user ${uid}, who can replace what is in it`;
  }
  if ((mode & STICKY) !== 0) return undefined;
  // A group of one's own has no other members, by the custom of Linux.
  const isOwnGroup = gid === ROOT || (uid === user.uid && gid === user.gid);
  const isOpen = (mode & OTHERS_WRITE) !== 0 ||
    (mode & GROUP_WRITES) !== 0 && !isOwnGroup;
  return isOpen
    ? `others can write "${path}", whose mode is ${formatMode(mode)}`
    : undefined;
}

/** Why a private file or folder is not safe; undefined when it is. */
export function faultOfPrivate(
  { path, isSymlink, mode, uid }: PathEntry,
  user: PathUser,
): string | undefined {
  if (isSymlink) {
    return `"${path}" is a link; put the file or folder itself there`;
  }
  if (uid !== user.uid) {
    return `"${path}" belongs to user ${uid}, not to user ${user.uid}; run chown ${user.uid} ${path}`;
  }
  return (mode & (GROUP_WRITES | OTHERS_WRITE)) === 0
    ? undefined
    : `others can write "${path}", whose mode is ${
      formatMode(mode)
    }; run chmod go-w ${path}`;
}

/**
 * Refuses a private folder that another user could exchange or write. Every
 * component of its path counts, and so do those behind a link.
 *
 * @param entries names in the folder that are private too; a missing one is fine
 * @param what names the folder in errors
 * @throws {NetError} `failed_precondition` naming the component, its owner or mode
 */
export function checkPrivateFolder(
  path: string,
  entries: readonly string[],
  what = `the state folder "${path}"`,
): void {
  const real = checkParents(path, what);
  checkPrivate([real, ...entries.map((name) => `${real}/${name}`)], what);
}

/**
 * Refuses private files in one folder that another user could exchange or write:
 * a link, a file of somebody else, or an unsafe folder above it. For a program
 * that cannot open a file without following a link, such as a database: call it
 * directly before.
 *
 * @param paths absolute; a missing one is fine
 * @throws {NetError} `failed_precondition` naming the component, its owner or mode
 */
export function checkPrivateFiles(paths: readonly string[]): void {
  for (const path of paths) {
    const what = `"${path}"`;
    checkParents(path, what);
    checkPrivate([path], what);
  }
}

/**
 * Refuses a path with a link of another user: in a folder that everybody may
 * write, such as `/tmp`, it leads to a file that they chose.
 *
 * @throws {NetError} `failed_precondition` naming the link and its owner
 */
export function checkLinks(path: string): void {
  const own = thisUser().uid;
  const place = resolve(path);
  for (const entry of [...parentsOf(place), look(place)]) {
    if (!entry?.isSymlink || entry.uid === ROOT || entry.uid === own) continue;
    const fault =
      `"${entry.path}" is a link of user ${entry.uid}; name another place`;
    throw unsafe(`"${path}"`, fault);
  }
}

/** Checks the folders above a path and behind its links. @returns the path without links */
function checkParents(path: string, what: string): string {
  const real = realPath(path);
  const user = thisUser();
  for (const from of new Set([resolve(path), real])) {
    for (const entry of parentsOf(from)) {
      const fault = faultOfParent(entry, user);
      if (fault !== undefined) throw unsafe(what, fault);
    }
  }
  return real;
}

function checkPrivate(paths: readonly string[], what: string): void {
  const user = thisUser();
  for (const path of paths) {
    const entry = look(path);
    const fault = entry && faultOfPrivate(entry, user);
    if (fault !== undefined) throw unsafe(what, fault);
  }
}

function thisUser(): PathUser {
  return { uid: Deno.uid() ?? ROOT, gid: Deno.gid() ?? ROOT };
}

/** A path without links; a file that is missing is in the folder that it would be in. */
function realPath(path: string): string {
  try {
    return Deno.realPathSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return `${Deno.realPathSync(dirname(path))}/${basename(path)}`;
  }
}

/**
 * Reads a text file, and refuses anything but a file there, such as a link or
 * a pipe.
 *
 * @returns undefined when there is none
 * @throws {NetError} `failed_precondition` for something else, and the runtime's errors
 */
export function readPrivateFile(path: string): string | undefined {
  let fd: number | undefined;
  try {
    fd = openSync(path, READ_NO_LINK);
    if (!fstatSync(fd).isFile()) throw noFile(path, "it is not a regular file");
    return readFileSync(fd, "utf8");
  } catch (error) {
    const { code } = error as { readonly code?: string };
    if (code === "ENOENT") return undefined;
    if (code !== "ELOOP") throw error;
    throw noFile(path, "it is a link; put the file itself there", error);
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

function noFile(path: string, what: string, cause?: unknown): NetError {
  return new NetError("failed_precondition", `Cannot use "${path}": ${what}`, {
    cause,
  });
}

/** The folders above a path, and the links among them. */
function parentsOf(path: string): PathEntry[] {
  const entries: PathEntry[] = [];
  for (let at = dirname(path);; at = dirname(at)) {
    const entry = look(at);
    if (entry) entries.unshift(entry);
    if (at === dirname(at)) return entries;
  }
}

function look(path: string): PathEntry | undefined {
  try {
    const { isSymlink, isDirectory, mode, uid, gid } = Deno.lstatSync(path);
    return {
      ...{ path, isSymlink, isDirectory },
      // A link has no mode of its own.
      mode: isSymlink ? 0 : mode ?? 0,
      uid: uid ?? ROOT,
      gid: gid ?? ROOT,
    };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    // A built agent gives up the right to look at other folders than its own
    // once it has checked those above.
    if (error instanceof Deno.errors.NotCapable) return undefined;
    throw error;
  }
}

function unsafe(what: string, fault: string): NetError {
  return new NetError("failed_precondition", `Cannot use ${what}: ${fault}`);
}

function formatMode(mode: number): string {
  return (mode & 0o7777).toString(8).padStart(4, "0");
}
