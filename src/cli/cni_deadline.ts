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
  timeoutMs: number,
): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new LateError(`no answer within ${timeoutMs} ms`)),
      timeoutMs,
    );
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
