import { sleep } from "../base/retry.ts";

/** Time after the start of an agent in which its calls wait for the registry, in ms. */
export const START_MS = 10_000;

/** The wait of a call. */
export interface ContactWait {
  /** Most time to wait, in ms: less than is left of the caller's deadline. */
  readonly limitMs: number;
  /** Ends the wait. */
  readonly signal: AbortSignal;
  /**
   * Whether an attempt that failed at each registry ends the wait, too: the
   * call has an answer without the registry. Default: false.
   */
  readonly orTried?: boolean;
}

/**
 * The first contact of an agent with its registry. Calls that come right after
 * the start wait for it within their deadlines, through failed attempts: the
 * registry may start at the same time. Later ones get the cause at once.
 */
export class FirstContact {
  readonly #nowMs: () => number;
  readonly #startedAtMs: number;
  readonly #untried: Set<string>;
  readonly #tried = new AbortController();
  readonly #made = new AbortController();

  /**
   * @param urls of all registries
   * @param nowMs a time in ms that never goes back
   */
  constructor(
    urls: readonly string[],
    nowMs: () => number = () => performance.now(),
  ) {
    this.#nowMs = nowMs;
    this.#startedAtMs = nowMs();
    this.#untried = new Set(urls);
  }

  /** Notes that a registry has admitted or refused this node, or that the agent stops. */
  note(): void {
    this.#tried.abort();
    this.#made.abort();
  }

  /** Notes that a registry was asked, and did not answer. */
  noteFailure(url: string): void {
    this.#untried.delete(url);
    if (this.#untried.size === 0) this.#tried.abort();
  }

  /** Returns at the first contact, at the end of the wait, and at once some time after the start. */
  async wait(
    { limitMs, signal, orTried = false }: ContactWait,
  ): Promise<void> {
    const end = orTried ? this.#tried.signal : this.#made.signal;
    const isLate = this.#nowMs() - this.#startedAtMs >= START_MS;
    if (end.aborted || isLate) return;
    await sleep(limitMs, AbortSignal.any([end, signal]));
  }
}
