interface Timer {
  readonly dueMs: number;
  readonly run: () => void;
}

/**
 * Replaces `setTimeout` and `clearTimeout` until it is uninstalled. Time passes
 * only by {@linkcode advance}.
 */
export class FakeTimers {
  /** The time in ms since 1970. */
  nowMs: number;
  #steadyMs = 0;
  #nextId = 1;
  readonly #timers = new Map<number, Timer>();
  readonly #real = { setTimeout, clearTimeout };

  constructor(nowMs: number) {
    this.nowMs = nowMs;
    const fake = {
      setTimeout: (run: () => void, delayMs = 0) => {
        const dueMs = this.#steadyMs + Math.max(0, delayMs);
        this.#timers.set(this.#nextId, { dueMs, run });
        return this.#nextId++;
      },
      clearTimeout: (id: number) => void this.#timers.delete(id),
    };
    Object.assign(globalThis, fake);
  }

  uninstall(): void {
    Object.assign(globalThis, this.#real);
  }

  /** Resolves after a time; at once for 0. */
  wait(ms: number): Promise<void> {
    return ms === 0
      ? Promise.resolve()
      : new Promise((resolve) => void setTimeout(resolve, ms));
  }

  /** Lets time pass, and runs the timers that become due in their order. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#steadyMs + ms;
    await settle();
    for (;;) {
      const [next] = [...this.#timers].filter(([, t]) => t.dueMs <= endMs)
        .sort(([a, s], [b, t]) => s.dueMs - t.dueMs || a - b);
      if (!next) break;
      const [id, { dueMs, run }] = next;
      this.#timers.delete(id);
      this.#pass(dueMs - this.#steadyMs);
      run();
      await settle();
    }
    this.#pass(endMs - this.#steadyMs);
  }

  #pass(ms: number): void {
    this.#steadyMs += ms;
    this.nowMs += ms;
  }
}

/** Lets the promises settle that are ready to. */
async function settle(): Promise<void> {
  for (let i = 0; i < 50; i++) await Promise.resolve();
}
