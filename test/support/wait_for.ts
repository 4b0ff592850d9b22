import { setTimeout as delay } from "node:timers/promises";

/** The clock, also while a test replaces it. */
const steadyMs = performance.now.bind(performance);

export interface WaitOptions {
  /** Default 120,000: a test that hangs fails, and one on a slow machine does not. */
  readonly timeoutMs?: number;
  /** The least pause between two checks. Default 10. */
  readonly everyMs?: number;
}

/**
 * Checks a condition again and again until it holds, and returns its value. For
 * changes that no event announces. A condition that throws does not hold yet.
 * A pause lasts as long as the check before it, so that tests that wait leave
 * the processor to others.
 *
 * @param what what is waited for, in the error's words
 * @param condition a value that counts as true, once it holds
 * @throws {Error} when it does not hold in time; its cause is what was thrown last
 */
export async function waitFor<T>(
  what: string,
  condition: () => T | Promise<T>,
  options: WaitOptions = {},
): Promise<T> {
  const { timeoutMs = 120_000, everyMs = 10 } = options;
  const deadline = steadyMs() + timeoutMs;
  for (;;) {
    let cause: unknown;
    const startedMs = steadyMs();
    try {
      const value = await condition();
      if (value) return value;
    } catch (error) {
      cause = error;
    }
    const nowMs = steadyMs();
    if (nowMs > deadline) {
      throw new Error(
        `Cannot wait any longer for ${what}: it is not there after ${timeoutMs} ms`,
        { cause },
      );
    }
    await delay(Math.max(everyMs, nowMs - startedMs));
  }
}
