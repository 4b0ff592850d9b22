import { setTimeout as delay } from "node:timers/promises";

/** Between two calls of one caller, in ms: these machines have other work, too. */
const PAUSE_MS = 20;

/** What came of the calls of one caller. */
export interface Tally {
  answered: number;
  slowestMs: number;
  /** Messages of what failed, each once for each time. */
  readonly failures: string[];
}

/** Callers that call one after the other without pause, each for itself, and keep count. */
export class SteadyCalls implements AsyncDisposable {
  readonly #tallies = new Map<string, Tally>();
  readonly #stop = new AbortController();
  readonly #running: Promise<void>[] = [];

  /** What came of all that was called so far, by caller. */
  get tallies(): ReadonlyMap<string, Tally> {
    return this.#tallies;
  }

  /** Begins to call. @param call makes one call, or some that belong together; it is told which time this is */
  add(caller: string, call: (turn: number) => Promise<unknown>): void {
    this.#running.push(this.#run(this.tallyOf(caller), call));
  }

  /** The count of a caller. */
  tallyOf(caller: string): Tally {
    const known = this.#tallies.get(caller) ??
      { answered: 0, slowestMs: 0, failures: [] };
    this.#tallies.set(caller, known);
    return known;
  }

  /** Ends it once what was called is answered. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#running);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #run(
    tally: Tally,
    call: (turn: number) => Promise<unknown>,
  ): Promise<void> {
    for (let turn = 0; !this.#stop.signal.aborted; turn++) {
      const startedMs = performance.now();
      try {
        await call(turn);
        tally.answered++;
      } catch (error) {
        tally.failures.push(String(error));
      }
      tally.slowestMs = Math.max(
        tally.slowestMs,
        performance.now() - startedMs,
      );
      await delay(PAUSE_MS);
    }
  }
}
