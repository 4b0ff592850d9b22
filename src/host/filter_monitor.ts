import { setTimeout as sleep } from "node:timers/promises";
import { getLogger } from "@logtape/logtape";
import { NetError } from "../base/error.ts";
import type {
  CommandFollower,
  FollowOptions,
} from "../system/command_follower.ts";

const MONITOR = { program: "nft", args: ["monitor"] };
const FIRST_BACK_OFF_MS = 1_000;
const MAX_BACK_OFF_MS = 60_000;
/** What runs that long has not failed at its start. */
const STEADY_MS = 10_000;

const log = getLogger(["stellar-net", "host", "filters"]);

/**
 * Yields when packet filters may have changed (nft(8), MONITOR), and when what
 * happened may have been missed. Goes on until it is ended, whatever happens to
 * nft.
 */
export async function* monitorFilters(
  follower: CommandFollower,
  { signal }: FollowOptions,
): AsyncGenerator<void> {
  let backOffMs = FIRST_BACK_OFF_MS;
  while (!signal.aborted) {
    const startedAtMs = performance.now();
    try {
      for await (const _ of follower.follow(MONITOR, { signal })) yield;
      log.debug("nft monitor ended");
    } catch (error) {
      if (!(error instanceof NetError)) throw error;
      log.debug("Cannot listen for changes of packet filters: {error}", {
        error,
      });
    }
    backOffMs = performance.now() - startedAtMs > STEADY_MS
      ? FIRST_BACK_OFF_MS
      : Math.min(backOffMs * 2, MAX_BACK_OFF_MS);
    await sleep(backOffMs, undefined, { signal }).catch(() => {});
    if (!signal.aborted) yield;
  }
}
