interface Waiting {
  readonly untilMs: number;
  readonly end: () => void;
}

/** Turns of the microtask queue in which whoever was woken gets to its next wait. */
const TURNS = 30;

/** Time that passes when a test says so. */
export class FakeTime {
  nowMs: number;
  readonly #waiting = new Set<Waiting>();
  #onWait: (() => void)[] = [];

  constructor(nowMs: number) {
    this.nowMs = nowMs;
  }

  readonly now = (): number => this.nowMs;

  /** Waits until time has passed, or a signal ends the wait. */
  readonly wait = (ms: number, signal: AbortSignal): Promise<void> => {
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const waiting = {
        untilMs: this.nowMs + ms,
        end: () => {
          this.#waiting.delete(waiting);
          resolve();
        },
      };
      signal.addEventListener("abort", waiting.end, { once: true });
      this.#waiting.add(waiting);
      const listeners = this.#onWait;
      this.#onWait = [];
      for (const listener of listeners) listener();
    });
  };

  /** Returns once so many wait. */
  async idle(count = 1): Promise<void> {
    for (let turn = 0; turn < TURNS; turn++) await Promise.resolve();
    while (this.#waiting.size < count) {
      await new Promise<void>((resolve) => this.#onWait.push(resolve));
    }
  }

  /** Lets time pass, wait by wait, and returns once somebody waits for later. */
  async pass(ms: number): Promise<void> {
    const endMs = this.nowMs + ms;
    await this.idle();
    for (;;) {
      const { size } = this.#waiting;
      const [next] = [...this.#waiting].sort((a, b) => a.untilMs - b.untilMs);
      if (!next || next.untilMs > endMs) break;
      this.nowMs = Math.max(this.nowMs, next.untilMs);
      next.end();
      await this.idle(size);
    }
    this.nowMs = endMs;
  }
}
