import { getLogger } from "@logtape/logtape";
import { NetError } from "../base/error.ts";
import { sleep } from "../base/retry.ts";
import type { Command, CommandFollower } from "./command.ts";

/** The longest time that a monitor needs from its start until it listens. */
const SETTLE_MS = 250;
const FIRST_BACK_OFF_MS = 100;
const MAX_BACK_OFF_MS = 10_000;

const log = getLogger(["stellar-net", "host"]);

/** Options of following the events of a program. */
export interface FollowEventsOptions<T> {
  readonly command: Omit<Command, "stdin">;
  /** Ends the sequence, without an error. */
  readonly signal: AbortSignal;
  /** The event that a line announces; undefined for none. */
  readonly read: (line: string) => T | undefined;
  /** Makes the event for the time in which the program did not listen. */
  readonly missed: () => T;
  /** One event in place of two that nobody has read yet. */
  readonly merge: (a: T, b: T) => T;
}

/**
 * The events that a program such as `ip monitor` announces. Starts the program
 * again whenever it ends, and yields `missed` when it listens again.
 */
export async function* followEvents<T>(
  follower: CommandFollower,
  options: FollowEventsOptions<T>,
): AsyncGenerator<T> {
  const stop = new AbortController();
  const end = () => stop.abort();
  options.signal.addEventListener("abort", end);
  if (options.signal.aborted) end();
  let event: T | undefined;
  let wake = Promise.withResolvers<void>();
  stop.signal.addEventListener("abort", () => wake.resolve());
  const following = follow(follower, {
    ...options,
    signal: stop.signal,
    push(next) {
      event = event === undefined ? next : options.merge(event, next);
      wake.resolve();
    },
  });
  try {
    while (!stop.signal.aborted) {
      await wake.promise;
      wake = Promise.withResolvers<void>();
      const next = event;
      event = undefined;
      if (next !== undefined && !stop.signal.aborted) yield next;
    }
  } finally {
    options.signal.removeEventListener("abort", end);
    end();
    await following;
  }
}

async function follow<T>(
  follower: CommandFollower,
  { command, signal, read, missed, push }: FollowEventsOptions<T> & {
    readonly push: (event: T) => void;
  },
): Promise<void> {
  const { program } = command;
  let backOffMs = FIRST_BACK_OFF_MS;
  while (!signal.aborted) {
    const settled = setTimeout(() => {
      backOffMs = FIRST_BACK_OFF_MS;
      push(missed());
    }, SETTLE_MS);
    try {
      for await (const line of follower.follow(command, { signal })) {
        const event = read(line);
        if (event !== undefined) push(event);
      }
      log.debug("{program} monitor ended", { program });
    } catch (error) {
      if (!(error instanceof NetError)) throw error;
      log.debug("Cannot follow {program} monitor: {error}", { program, error });
    } finally {
      clearTimeout(settled);
    }
    await sleep(backOffMs, signal);
    backOffMs = Math.min(backOffMs * 2, MAX_BACK_OFF_MS);
  }
}
