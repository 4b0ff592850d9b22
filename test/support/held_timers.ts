/** Holds back the timers of one length. */
export class HeldTimers implements Disposable {
  readonly #real = globalThis.setTimeout;
  readonly #held: (() => void)[] = [];

  constructor(heldMs: number) {
    globalThis.setTimeout = ((run: () => void, ms: number) => {
      if (ms !== heldMs) return this.#real(run, ms);
      this.#held.push(run);
      return 0;
    }) as typeof setTimeout;
  }

  /** Whether a timer is held back. */
  get areHeld(): boolean {
    return this.#held.length > 0;
  }

  /** Runs the timers that are held back now. */
  fire(): void {
    for (const run of this.#held.splice(0)) run();
  }

  [Symbol.dispose](): void {
    globalThis.setTimeout = this.#real;
  }
}
