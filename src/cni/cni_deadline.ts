import type { CniIo } from "./io.ts";

/** When a call has to be done. */
export class Deadline {
  readonly #uptimeMs: () => number;
  readonly #atMs: number;

  constructor(timeoutMs: number, uptimeMs: () => number) {
    this.#uptimeMs = uptimeMs;
    this.#atMs = uptimeMs() + timeoutMs;
  }

  /** What is left, at least 1 ms. */
  get remainingMs(): number {
    return Math.max(1, Math.ceil(this.#atMs - this.#uptimeMs()));
  }
}

/** A call that was not done in time. */
export class LateError extends Error {
  override readonly name = "LateError";
}

/** Waits for a promise, but no longer than a time. @throws {LateError} */
export async function within<T>(
  promise: Promise<T>,
  options: { readonly timeoutMs: number } & Pick<CniIo, "startTimer">,
): Promise<T> {
  const { timeoutMs, startTimer } = options;
  const timer = startTimer(timeoutMs);
  const late = timer.expired.then((): never => {
    throw new LateError(`no answer within ${timeoutMs} ms`);
  });
  // Once the promise has won nobody waits for this one.
  late.catch(() => {});
  try {
    return await Promise.race([promise, late]);
  } finally {
    timer.cancel();
  }
}
