import { getLogger } from "@logtape/logtape";

/** Time to the first attempt after a failure; it doubles up to the interval. */
const FIRST_RETRY_MS = 500;
/** After a run the schedule rests for so many times its duration: events alone use a fifth of the time. */
const REST_FACTOR = 4;
/** The longest such rest. */
const MAX_REST_MS = 400;

const log = getLogger(["stellar-net", "agent"]);

export interface ReconcileScheduleOptions {
  /** Names the work in the log, such as "reconcile routes". */
  readonly what: string;
  /** Reconciles once. @returns whether nothing is left to try again */
  readonly run: () => Promise<boolean>;
  /** A time in ms that never goes back. Default: `performance.now()`. */
  readonly clock?: () => number;
  /** Time from an event to a run: events come in bursts. */
  readonly debounceMs: number;
  /** Time to the next run without an event. */
  readonly intervalMs: number;
}

/**
 * Runs a reconciliation, one run at a time: on request, soon after an event,
 * and once started also after a failure and at an interval.
 */
export class ReconcileSchedule {
  readonly #options: Required<ReconcileScheduleOptions>;
  #isStarted = false;
  #isStopped = false;
  #running: Promise<void> | undefined;
  #timer:
    | { readonly id: ReturnType<typeof setTimeout>; readonly atMs: number }
    | undefined;
  #dueMs: number | undefined;
  /** The callers that wait for the next run. */
  #waiters: PromiseWithResolvers<void>[] = [];
  #restUntilMs = 0;
  #retryMs = FIRST_RETRY_MS;

  constructor(options: ReconcileScheduleOptions) {
    this.#options = { clock: () => performance.now(), ...options };
  }

  /** From the next run on, runs again at the interval, and after a failure. */
  start(): void {
    this.#isStarted = true;
  }

  /**
   * Asks for a run at once, and waits for its end. A run that is under way
   * does not count. Returns at once after the end of the schedule.
   *
   * @throws {unknown} the error of the run
   */
  runNow(): Promise<void> {
    if (this.#isStopped) return Promise.resolve();
    const waiter = Promise.withResolvers<void>();
    this.#waiters.push(waiter);
    this.#request(0);
    return waiter.promise;
  }

  /** Asks for a run after an event. Further events do not delay it. */
  runSoon(): void {
    this.#request(this.#options.debounceMs);
  }

  /** Ends the schedule after the run that is under way. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer?.id);
    await this.#running;
    for (const waiter of this.#waiters.splice(0)) waiter.resolve();
  }

  #request(delayMs: number): void {
    const dueMs = this.#options.clock() + delayMs;
    this.#dueMs = Math.min(dueMs, this.#dueMs ?? dueMs);
    if (!this.#running) this.#arm();
  }

  #arm(): void {
    if (this.#isStopped || this.#dueMs === undefined) return;
    const nowMs = this.#options.clock();
    const atMs = this.#waiters.length > 0
      ? nowMs
      : Math.max(this.#dueMs, this.#restUntilMs);
    // A timer that is set anew with each event never fires while events pour in.
    if (this.#timer && this.#timer.atMs <= atMs) return;
    clearTimeout(this.#timer?.id);
    const id = setTimeout(() => this.#running = this.#run(), atMs - nowMs);
    this.#timer = { id, atMs };
  }

  async #run(): Promise<void> {
    const { clock, intervalMs } = this.#options;
    const startMs = clock();
    this.#dueMs = undefined;
    this.#timer = undefined;
    const isDone = await this.#answer(this.#waiters.splice(0));
    const endMs = clock();
    this.#restUntilMs = endMs +
      Math.min(REST_FACTOR * (endMs - startMs), MAX_REST_MS);
    this.#running = undefined;
    if (this.#isStarted) {
      this.#request(isDone ? intervalMs : Math.min(this.#retryMs, intervalMs));
    }
    this.#retryMs = isDone ? FIRST_RETRY_MS : this.#retryMs * 2;
    // A request that came during the run may be due earlier.
    this.#arm();
  }

  async #answer(
    waiters: readonly PromiseWithResolvers<void>[],
  ): Promise<boolean> {
    const { what, run } = this.#options;
    try {
      const isDone = await run();
      for (const waiter of waiters) waiter.resolve();
      return isDone;
    } catch (error) {
      if (waiters.length === 0) {
        log.error("Cannot {what}, trying again: {error}", { what, error });
      }
      for (const waiter of waiters) waiter.reject(error);
      return false;
    }
  }
}
