/** Time to the first attempt after a failure; it doubles up to the interval. */
const FIRST_RETRY_MS = 500;
/** Events alone keep the agent busy for no more than a fifth of the time... */
const REST_FACTOR = 4;
/** ...but nothing is left alone for longer than this. */
const MAX_REST_MS = 400;

/** Options of a schedule. */
export interface ReconcileScheduleOptions {
  /** Looks, and returns whether nothing is left to try again. Never fails. */
  readonly look: () => Promise<boolean>;
  /** The time in ms since 1970. */
  readonly now: () => number;
  /** How long after an event to look: events come in swarms. */
  readonly debounceMs: number;
  /** How often to look without an event, in ms. */
  readonly intervalMs: number;
}

/**
 * Looks again and again, one look at a time: at once when asked, soon after an
 * event, after a failure, and every now and then. The first look is asked for.
 */
export class ReconcileSchedule {
  readonly #options: ReconcileScheduleOptions;
  #isStopped = false;
  #running: Promise<void> | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #dueMs: number | undefined;
  /** Whether somebody waits for the next look. */
  #isUrgent = false;
  #restUntilMs = 0;
  #retryMs = FIRST_RETRY_MS;

  constructor(options: ReconcileScheduleOptions) {
    this.#options = options;
  }

  /** Asks for a look that starts after this call. */
  lookNow(): void {
    this.#request({ delayMs: 0, isUrgent: true });
  }

  /** Asks for a look after an event. More events do not put it off. */
  lookSoon(): void {
    this.#request({ delayMs: this.#options.debounceMs, isUrgent: false });
  }

  /** Ends it, once a look that is under way has finished. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    await this.#running;
  }

  #request(
    { delayMs, isUrgent }: {
      readonly delayMs: number;
      readonly isUrgent: boolean;
    },
  ): void {
    const dueMs = this.#options.now() + delayMs;
    const isEarlier = this.#dueMs === undefined || dueMs < this.#dueMs;
    if (!isEarlier && (this.#isUrgent || !isUrgent)) return;
    this.#dueMs = Math.min(dueMs, this.#dueMs ?? dueMs);
    this.#isUrgent ||= isUrgent;
    if (!this.#running) this.#arm();
  }

  #arm(): void {
    clearTimeout(this.#timer);
    if (this.#isStopped || this.#dueMs === undefined) return;
    const nowMs = this.#options.now();
    const waitMs = this.#dueMs - nowMs;
    // Bounded, should the clock have been set back.
    const restMs = Math.min(this.#restUntilMs - nowMs, MAX_REST_MS);
    this.#timer = setTimeout(() => {
      this.#running = this.#run();
    }, Math.max(0, waitMs, this.#isUrgent ? 0 : restMs));
  }

  async #run(): Promise<void> {
    const { look, now, intervalMs } = this.#options;
    const startMs = now();
    this.#dueMs = undefined;
    this.#isUrgent = false;
    const isDone = await look();
    this.#restUntilMs = now() + REST_FACTOR * (now() - startMs);
    this.#running = undefined;
    this.#request({
      delayMs: isDone ? intervalMs : Math.min(this.#retryMs, intervalMs),
      isUrgent: false,
    });
    this.#retryMs = isDone ? FIRST_RETRY_MS : this.#retryMs * 2;
    // What was asked for meanwhile may be due earlier.
    this.#arm();
  }
}
