import { CniError } from "./text/errors.ts";
import {
  encodeQueueEntry,
  QUEUE_LIMIT,
  QUEUE_TEMPORARY_PREFIX,
  type QueueEntry,
  queueFileName,
  queueLink,
} from "./text/queue_entry.ts";
import type { CniIo } from "./io.ts";

/** Where the agent keeps the queue unless `--state` says otherwise. */
const DEFAULT_QUEUE_DIR = "/var/lib/stellar-net/queue";

/** Options of a queued release. */
export interface QueueOptions {
  readonly queueDir: string | undefined;
  readonly socketPath: string;
  /** The reason why the agent cannot release now. */
  readonly why: string;
}

/**
 * Writes a release to disk for the agent to apply when it starts.
 *
 * @throws {CniError} `try_again` when the queue is full or cannot be written
 */
export function queueRelease(
  io: Pick<CniIo, "queue" | "randomId" | "stderr">,
  entry: QueueEntry,
  options: QueueOptions,
): void {
  const { why } = options;
  const beside = queueLink(options.socketPath);
  const dir = options.queueDir ??
    (io.queue.exists(beside) ? beside : DEFAULT_QUEUE_DIR);
  const id = io.randomId();
  const refuse = (what: string, cause?: unknown) =>
    new CniError(
      "try_again",
      `Cannot release: ${why}. Nor can it wait in "${dir}": ${what}`,
      { cause },
    );
  let outcome: "written" | "full";
  try {
    outcome = io.queue.write(dir, {
      name: queueFileName(entry.requestedAtMs, id),
      temporaryName: `${QUEUE_TEMPORARY_PREFIX}${id}`,
      text: encodeQueueEntry(entry),
      limit: QUEUE_LIMIT,
    });
  } catch (cause) {
    throw refuse(cause instanceof Error ? cause.message : String(cause), cause);
  }
  if (outcome === "full") {
    throw refuse(`${QUEUE_LIMIT} releases wait there already`);
  }
  io.stderr(
    `stellar-net: ${why}. The release waits in "${dir}" and is applied when the agent starts\n`,
  );
}

/** A release that a CNI plugin queued while the agent was down. */
export interface QueuedRelease extends QueueEntry {
  /** Its name in the queue. */
  readonly id: string;
}

/** The agent's side of the queue. */
export interface ReleaseQueue {
  /** The number of waiting releases. */
  size(): Promise<number>;
  /** The waiting releases, the oldest first. It sets unreadable ones aside. */
  list(): Promise<QueuedRelease[]>;
  /** Removes an applied release. */
  remove(id: string): Promise<void>;
}
