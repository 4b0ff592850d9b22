import { setTimeout as delay } from "node:timers/promises";

export interface WaitOptions {
  /** Default 10,000. */
  readonly timeoutMs?: number;
  /** How long to wait between two looks. Default 10. */
  readonly everyMs?: number;
}

/**
 * Looks again and again until a condition holds, and returns what it gave. For
 * what announces itself by no event. A condition that throws does not hold yet.
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
  const { timeoutMs = 10_000, everyMs = 10 } = options;
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    let cause: unknown;
    try {
      const value = await condition();
      if (value) return value;
    } catch (error) {
      cause = error;
    }
    if (performance.now() > deadline) {
      throw new Error(
        `Cannot wait any longer for ${what}: it is not there after ${timeoutMs} ms`,
        { cause },
      );
    }
    await delay(everyMs);
  }
}
