import { getLogger } from "@logtape/logtape";
import {
  decodeQueueEntry,
  isQueueFileName,
  queueLink,
} from "./text/queue_entry.ts";
import { NetError } from "../base/error.ts";
import { makeSymlink } from "../system/files.ts";
import type { QueuedRelease, ReleaseQueue } from "./queue.ts";

const log = getLogger(["stellar-net", "agent", "queue"]);

/** Where a queue is. */
export interface FileReleaseQueueOptions {
  /** Folder of the entries, one file each. */
  readonly path: string;
  /** Socket of the agent; beside it a link to the folder tells plugins where to queue. */
  readonly socketPath: string;
}

/** Releases that CNI plugins wrote to a folder, one file each. */
export class FileReleaseQueue implements ReleaseQueue {
  readonly #path: string;
  readonly #link: string;

  private constructor({ path, socketPath }: FileReleaseQueueOptions) {
    this.#path = path;
    this.#link = queueLink(socketPath);
  }

  /**
   * Makes the folder where it is missing.
   *
   * @throws {NetError} `unavailable` when that fails
   */
  static open(options: FileReleaseQueueOptions): FileReleaseQueue {
    const { path } = options;
    try {
      Deno.mkdirSync(path, { recursive: true, mode: 0o700 });
    } catch (cause) {
      throw unusable(`make the queue of releases "${path}"`, cause);
    }
    return new FileReleaseQueue(options);
  }

  /**
   * Makes the link beside the socket, in place of one that is there. Whoever
   * calls it has the socket: the link of another agent stays as it is.
   *
   * @throws {NetError} `unavailable` when that fails
   */
  link(): void {
    try {
      removeLink(this.#link);
      makeSymlink(Deno.realPathSync(this.#path), this.#link);
    } catch (cause) {
      throw unusable(
        `link the queue of releases "${this.#path}" as "${this.#link}"`,
        cause,
      );
    }
  }

  async size(): Promise<number> {
    return (await this.#names()).length;
  }

  async list(): Promise<QueuedRelease[]> {
    const releases: QueuedRelease[] = [];
    for (const id of await this.#names()) {
      const text = await Deno.readTextFile(this.#file(id));
      try {
        releases.push({ id, ...decodeQueueEntry(text) });
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        log.error("Cannot read the queued release {id}, set aside: {error}", {
          id,
          error,
        });
        await Deno.rename(this.#file(id), `${this.#file(id)}.bad`);
      }
    }
    return releases;
  }

  async remove(id: string): Promise<void> {
    await Deno.remove(this.#file(id));
  }

  async #names(): Promise<string[]> {
    const names: string[] = [];
    for await (const { name } of Deno.readDir(this.#path)) {
      if (isQueueFileName(name)) names.push(name);
    }
    return names.sort();
  }

  #file(id: string): string {
    return `${this.#path}/${id}`;
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
