import { getLogger } from "@logtape/logtape";

const log = getLogger(["stellar-net", "agent"]);

/** Something that is done again and again. */
export interface PeriodicTask {
  /** Ends it, once a run that is under way has finished. */
  stop(): Promise<void>;
}

/** Shorter intervals are kept as they are, in ms. */
const MIN_ALIGNED_MS = 1_000;

/**
 * The time until the multiple of an interval that is nearest to the interval's
 * end. Tasks with aligned times share the wake-ups of an idle process, which
 * cost it more than the work itself.
 *
 * @param nowMs a monotonic time
 * @returns half an interval to one and a half, in ms
 */
export function alignedDelay(intervalMs: number, nowMs: number): number {
  if (intervalMs < MIN_ALIGNED_MS) return intervalMs;
  const delayMs = intervalMs - nowMs % intervalMs;
  return delayMs < intervalMs / 2 ? delayMs + intervalMs : delayMs;
}

/** The work and the interval of a periodic task. */
export interface PeriodicTaskOptions {
  /** Time between two runs, in ms: see {@linkcode alignedDelay}. */
  readonly intervalMs: number;
  readonly run: () => Promise<unknown>;
}

/**
 * Starts a periodic task: the first run is at once. A run that fails is logged, and
 * the next one comes in its time; the same failure again is not logged until a run
 * has succeeded.
 *
 * @param what for the log, such as "look for leaked addresses"
 */
export function startPeriodicTask(
  what: string,
  options: PeriodicTaskOptions,
): PeriodicTask {
  const { intervalMs, run } = options;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isStopped = false;
  let failure: string | undefined;
  let running = runOnce();

  async function runOnce(): Promise<void> {
    try {
      await run();
      if (failure !== undefined) log.info("Could {what} again", { what });
      failure = undefined;
    } catch (error) {
      const message = String(error);
      if (message !== failure) {
        log.warn("Cannot {what}, trying again later: {error}", { what, error });
      }
      failure = message;
    }
    if (isStopped) return;
    const delayMs = alignedDelay(intervalMs, performance.now());
    timer = setTimeout(() => running = runOnce(), delayMs);
  }

  return {
    stop() {
      isStopped = true;
      clearTimeout(timer);
      return running;
    },
  };
}
