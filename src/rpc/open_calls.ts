/** A call that is under way. */
export interface OpenCall {
  /** Called about once a second, so that the call can see that it is late. */
  check(now: number): void;
}

const CHECK_INTERVAL_MS = 1000;

/** The calls of a server that are under way. */
export class OpenCalls {
  readonly #calls = new Set<OpenCall>();
  readonly #timer: ReturnType<typeof setInterval>;

  constructor() {
    this.#timer = setInterval(() => {
      const now = Date.now();
      for (const call of this.#calls) call.check(now);
    }, CHECK_INTERVAL_MS);
  }

  /** How many there are. */
  get count(): number {
    return this.#calls.size;
  }

  add(call: OpenCall): void {
    this.#calls.add(call);
  }

  /** Takes a call out that is done. */
  delete(call: OpenCall): void {
    this.#calls.delete(call);
  }

  /** Stops the checks. */
  close(): void {
    clearInterval(this.#timer);
  }
}
