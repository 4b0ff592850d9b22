import { NetError } from "./error.ts";

/** Waits for some milliseconds, or until a signal ends the wait. */
export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end);
  });
}

export interface BackOffOptions {
  /** The first wait, in ms. */
  readonly firstMs: number;
  /** The longest wait, in ms. Default: the first one. */
  readonly maxMs?: number;
  /**
   * A random number from 0 to 1. With it each wait is half of its length to all
   * of it, so that many processes do not try again at the same moment.
   */
  readonly random?: () => number;
}

/** The waits between attempts: each is twice as long as the one before. */
export class BackOff {
  readonly #options: BackOffOptions;
  #nextMs: number;

  constructor(options: BackOffOptions) {
    this.#options = options;
    this.#nextMs = options.firstMs;
  }

  /** The next wait, in ms. */
  next(): number {
    const { firstMs, maxMs = firstMs, random = () => 1 } = this.#options;
    const ms = this.#nextMs;
    this.#nextMs = Math.min(2 * ms, maxMs);
    return ms * (0.5 + random() / 2);
  }

  /** Starts again with the first wait: an attempt succeeded. */
  reset(): void {
    this.#nextMs = this.#options.firstMs;
  }
}

/** Options of {@linkcode retry} and {@linkcode followWatch}. */
export interface RetryOptions {
  /** Ends the attempts. */
  readonly signal: AbortSignal;
  /** The waits between attempts. */
  readonly backOff: BackOff;
  /** Called with the error of each attempt that failed. Any error but a NetError is thrown. */
  readonly onFailure: (error: NetError) => void;
}

/** Repeats an attempt until it succeeds. Returns undefined when the signal came first. */
export async function retry<T>(
  attempt: () => Promise<T>,
  { signal, backOff, onFailure }: RetryOptions,
): Promise<T | undefined> {
  while (!signal.aborted) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof NetError)) throw error;
      onFailure(error);
    }
    await sleep(backOff.next(), signal);
  }
  return undefined;
}

/** Options of {@linkcode followWatch}. */
export interface FollowOptions<Event> extends RetryOptions {
  /** Opens the watch, which begins with a snapshot. */
  readonly open: () => AsyncIterable<Event>;
  readonly onEvent: (event: Event) => void;
  /** Called when a watch has ended, before the next one opens. */
  readonly onEnd?: () => void;
}

/** Follows a watch, and opens it again whenever it ends, until the signal. */
export async function followWatch<Event>(
  options: FollowOptions<Event>,
): Promise<void> {
  const { open, onEvent, onEnd, onFailure, signal, backOff } = options;
  while (!signal.aborted) {
    try {
      for await (const event of open()) {
        backOff.reset();
        onEvent(event);
      }
    } catch (error) {
      if (!(error instanceof NetError)) throw error;
      onFailure(error);
    }
    onEnd?.();
    await sleep(backOff.next(), signal);
  }
}
