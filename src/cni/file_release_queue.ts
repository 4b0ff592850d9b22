import { getLogger } from "@logtape/logtape";
import {
  decodeQueueEntry,
  isQueueFileName,
  queueLink,
} from "./text/queue_entry.ts";
import { NetError } from "../base/error.ts";
import { makeSymlink } from "../system/files.ts";
import { checkPrivateFiles, readPrivateFile } from "../system/trusted_path.ts";
import type { QueuedRelease, ReleaseQueue } from "./queue.ts";

const log = getLogger(["stellar-net", "agent", "queue"]);

export interface FileReleaseQueueOptions {
  /** Folder of the entries, one file each. */
  readonly path: string;
  /** Socket of the agent; beside it a link to the folder tells plugins where to queue. */
  readonly socketPath: string;
  /** Number of a group whose members may queue. Default: none. */
  readonly groupId?: number | undefined;
}

/**
 * Releases that CNI plugins wrote to a folder, one file each. The folder is in
 * the agent's state, which only the agent's user can enter. For a group there is
 * another one in place of the link, beside the socket. A reboot may empty that
 * one: it also ends the containers that its entries are about.
 */
export class FileReleaseQueue implements ReleaseQueue {
  readonly #path: string;
  readonly #beside: string;
  readonly #groupId: number | undefined;

  private constructor(options: FileReleaseQueueOptions) {
    this.#path = options.path;
    this.#beside = queueLink(options.socketPath);
    this.#groupId = options.groupId;
  }

  /**
   * Makes the folder where it is missing.
   *
   * @throws {NetError} `unavailable` when that fails, `failed_precondition` when
   * another user could exchange or write it
   */
  static open(options: FileReleaseQueueOptions): FileReleaseQueue {
    const { path } = options;
    try {
      Deno.mkdirSync(path, { recursive: true, mode: 0o700 });
    } catch (cause) {
      throw unusable(`make the queue of releases "${path}"`, cause);
    }
    checkPrivateFiles([path]);
    return new FileReleaseQueue(options);
  }

  /**
   * Makes the link or the group's folder beside the socket, in place of a link
   * that is there. Only the agent that has the socket calls it, so that the link
   * of another agent stays as it is.
   *
   * @throws {NetError} `unavailable` when that fails, or another user's folder is there
   */
  link(): void {
    try {
      removeLink(this.#beside);
      if (this.#groupId !== undefined) {
        if (!isOwnFolder(this.#beside)) Deno.mkdirSync(this.#beside);
        Deno.chownSync(this.#beside, null, this.#groupId);
        Deno.chmodSync(this.#beside, 0o2770);
      } else if (isOwnFolder(this.#beside)) {
        Deno.chmodSync(this.#beside, 0o700);
      } else {
        makeSymlink(Deno.realPathSync(this.#path), this.#beside);
      }
    } catch (cause) {
      throw unusable(
        `link the queue of releases "${this.#path}" as "${this.#beside}"`,
        cause,
      );
    }
  }

  size(): Promise<number> {
    return new Promise((resolve) => resolve(this.#files().length));
  }

  async list(): Promise<QueuedRelease[]> {
    const releases: QueuedRelease[] = [];
    for (const { id, file } of this.#entries()) {
      try {
        const text = readPrivateFile(file);
        if (text === undefined) continue;
        releases.push({ id, ...decodeQueueEntry(text) });
      } catch (error) {
        const isBad = error instanceof RangeError || error instanceof NetError;
        if (!isBad) throw error;
        log.error("Cannot read the queued release {id}, set aside: {error}", {
          id,
          error,
        });
        await Deno.rename(file, `${file}.bad`);
      }
    }
    return releases;
  }

  async remove(id: string): Promise<void> {
    for (const entry of this.#entries()) {
      if (entry.id === id) await Deno.remove(entry.file);
    }
  }

  #entries(): { readonly id: string; readonly file: string }[] {
    checkPrivateFiles([this.#path]);
    return this.#files();
  }

  #files(): { readonly id: string; readonly file: string }[] {
    const entries: { id: string; file: string }[] = [];
    // It says what is wrong with the folder.
    if (!isOwnFolder(this.#path)) checkPrivateFiles([this.#path]);
    const folders = isOwnFolder(this.#beside)
      ? [this.#path, this.#beside]
      : [this.#path];
    for (const folder of folders) {
      // An idle agent looks every few seconds: a thread for it costs more.
      for (const { name } of Deno.readDirSync(folder)) {
        if (!isQueueFileName(name)) continue;
        entries.push({ id: name, file: `${folder}/${name}` });
      }
    }
    return entries.sort((a, b) => a.id < b.id ? -1 : 1);
  }
}

/** Whether a path is a folder of this user, and no link to one. */
function isOwnFolder(path: string): boolean {
  try {
    const { isDirectory, uid } = Deno.lstatSync(path);
    return isDirectory && uid === Deno.uid();
  } catch {
    return false;
  }
}

function unusable(action: string, cause: unknown): NetError {
  const what = cause instanceof Error ? cause.message : cause;
  return new NetError("unavailable", `Cannot ${action}: ${what}`, { cause });
}

function removeLink(path: string): void {
  try {
    if (Deno.lstatSync(path).isSymlink) Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
