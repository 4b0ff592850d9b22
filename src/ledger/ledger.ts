import { getLogger } from "@logtape/logtape";
import { NetError } from "../base/error.ts";
import { type Planned, type Refusal, refusalError } from "../base/plan.ts";
import type { Store, Version } from "../store/store.ts";
import {
  Batch,
  type ForeignCommit,
  type LedgerModel,
  LedgerState,
  type LedgerStateOptions,
  type Loaded,
  type Packed,
  unpacking,
  type Writes,
} from "./model.ts";

export interface LedgerOptions<Change = unknown>
  extends Pick<LedgerStateOptions, "store" | "announcedWithinMs"> {
  /** The time in ms since 1970. */
  readonly now: () => number;
  /** Called with the changes of each commit once it is durable. */
  readonly onCommitted?: (changes: readonly Change[]) => void;
  /** Whether others write to the store as well. Default false. */
  readonly isShared?: boolean;
}

/** Plans one request on the state. */
type Plan<State, Change, T = unknown> = (
  state: State,
  nowMs: number,
) => Planned<T, Change> | Refusal;

/** A request in the queue: planned with others, or alone: several at once, or run exclusively. */
interface Job<State, Change> {
  readonly plan: Plan<State, Change> | undefined;
  /** All or nothing. */
  readonly plans?: readonly Plan<State, Change>[];
  /** Whether it only tells what it would do. */
  readonly isDryRun?: boolean;
  readonly exclusive:
    | ((state: State, version: Version | null) => Promise<unknown>)
    | undefined;
  readonly signal: AbortSignal | undefined;
  readonly isUrgent: boolean;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

const log = getLogger(["stellar-net", "agent"]);

/** Options of {@linkcode Ledger.submit}. */
export interface SubmitOptions {
  readonly isUrgent?: boolean;
  readonly isDryRun?: boolean;
}

const MAX_BATCH = 128;
const MAX_QUEUE = 16_384;
const MAX_ATTEMPTS = 8;
/**
 * When a call to a shared store fails after this time, in ms, the ledger also
 * refuses the requests that queued up meanwhile: each would wait as long again.
 */
const SILENT_MS = 1_000;

/**
 * A state in memory that answers a change only once the change is durable.
 *
 * The ledger plans requests one after the other on the state. Requests that
 * arrive during a commit share the next one (group commit). A commit checks the
 * version of the guard: after a write by another process the ledger reads the
 * state again and plans the requests again, a bounded number of times. It never
 * answers from a state that is not committed.
 */
export class Ledger<State, Change> {
  readonly #model: LedgerModel<State, Change>;
  readonly #store: Store;
  readonly #isShared: boolean;
  /** The error of the last requests; empty when they succeeded. */
  #problem = "";
  readonly #now: () => number;
  readonly #onCommitted: LedgerOptions<Change>["onCommitted"];
  readonly #queue: Job<State, Change>[] = [];
  readonly #state: LedgerState<State, Change>;
  /** Versions of our own commits that the watch has not reported yet. */
  readonly #own = new Set<Version>();
  /** Commits that the watch reported during our own commit, which may be among them. */
  #early: (ForeignCommit<Change> | undefined)[] = [];
  #isAhead = false;
  #isFollowed = false;
  #running = false;

  constructor(
    model: LedgerModel<State, Change>,
    options: LedgerOptions<Change>,
  ) {
    const { store, isShared = false } = options;
    this.#model = model;
    this.#state = new LedgerState(model, { ...options, isShared });
    this.#onCommitted = options.onCommitted;
    this.#store = store;
    this.#isShared = isShared;
    this.#now = options.now;
  }

  /**
   * Plans a request and answers once its changes are durable.
   *
   * @param signal drops the request if it is not planned yet
   * @param options an urgent request overtakes the others that wait; a dry run
   * tells the answer and changes nothing
   * @throws {NetError} the plan's refusal, `unavailable`, or `cancelled`
   */
  submit<T>(
    plan: Plan<State, Change, T>,
    signal?: AbortSignal,
    { isUrgent = false, isDryRun = false }: SubmitOptions = {},
  ): Promise<T> {
    const exclusive = undefined;
    return this.#enqueue<T>({ plan, exclusive, signal, isUrgent, isDryRun });
  }

  /**
   * Plans several requests, each on what the ones before it leave, and answers
   * once the changes of all are durable: all of them or none.
   *
   * @throws {NetError} the first refusal, with the number of its plan as `item`;
   * `exhausted` when the store takes no commit of that size
   */
  submitAll<T>(
    plans: readonly Plan<State, Change, T>[],
    { isDryRun = false, signal }: {
      readonly isDryRun?: boolean | undefined;
      readonly signal?: AbortSignal | undefined;
    } = {},
  ): Promise<T[]> {
    return this.#enqueue<T[]>({
      ...{ plan: undefined, exclusive: undefined, isUrgent: false },
      ...{ plans, signal, isDryRun },
    });
  }

  /** Answers from the state, after all earlier requests. */
  read<T>(view: (state: State) => T): Promise<T> {
    return this.submit((state) => ({
      kind: "planned",
      answer: view(state),
      changes: [],
    }));
  }

  /**
   * Receives a commit from a watch of the store; undefined when commits were
   * missed and anything may be different. It passes commits of other processes
   * on to `onCommitted`, and may repeat one of our own.
   */
  receive(commit: ForeignCommit<Change> | undefined): void {
    this.#isFollowed = true;
    if (this.#isAhead) {
      this.#early.push(commit);
      return;
    }
    if (commit && this.#own.delete(commit.version)) return;
    if (!commit) this.#own.clear();
    this.#state.receive(commit);
    if (commit) this.#onCommitted?.(commit.changes);
  }

  /**
   * Runs a function while the ledger plans and commits nothing. The function
   * gets the state, and the version of the guard to check in its own commit.
   */
  exclusive<T>(
    run: (state: State, version: Version | null) => Promise<T>,
  ): Promise<T> {
    return this.#enqueue<T>({
      plan: undefined,
      exclusive: run,
      signal: undefined,
      isUrgent: false,
    });
  }

  #enqueue<T>(
    job: Omit<Job<State, Change>, "resolve" | "reject">,
  ): Promise<T> {
    if (this.#queue.length >= MAX_QUEUE && !job.isUrgent) {
      return Promise.reject(
        new NetError(
          "unavailable",
          `Cannot accept the request: ${MAX_QUEUE} others are waiting; try again`,
        ),
      );
    }
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const waiting = { ...job, resolve, reject };
    const overtaken = job.isUrgent
      ? this.#queue.findIndex((other) => !other.isUrgent)
      : -1;
    if (overtaken === -1) this.#queue.push(waiting);
    else this.#queue.splice(overtaken, 0, waiting);
    if (!this.#running) this.#run();
    return promise as Promise<T>;
  }

  async #run(): Promise<void> {
    this.#running = true;
    // Requests of the same turn share a commit.
    await Promise.resolve();
    while (this.#queue.length > 0) {
      const isAlone = (job: Job<State, Change>) => job.plan === undefined;
      const next = this.#queue.findIndex(isAlone);
      const size = next === -1 ? this.#queue.length : Math.max(next, 1);
      const jobs = this.#queue.splice(0, Math.min(size, MAX_BATCH));
      const startedMs = performance.now();
      try {
        const [first] = jobs;
        await (first!.exclusive
          ? this.#runExclusive(first!)
          : first!.plans
          ? this.#runAll(first!)
          : this.#runBatch(jobs));
        this.#problem = "";
      } catch (error) {
        const isSilent = performance.now() - startedMs >= SILENT_MS;
        if (this.#isShared && isSilent) jobs.push(...this.#queue.splice(0));
        this.#logFailure(jobs.length, error);
        for (const job of jobs) job.reject(error);
      }
    }
    this.#running = false;
  }

  /** A store can be out of reach for days: the log has each problem once. */
  #logFailure(count: number, error: unknown): void {
    const problem = String(error);
    const properties = { count, error };
    const text =
      "Cannot read or write the state, refusing {count} requests: {error}";
    if (problem === this.#problem) log.debug(text, properties);
    else log.error(text, properties);
    this.#problem = problem;
  }

  async #runExclusive(job: Job<State, Change>): Promise<void> {
    const { state, version } = await this.#state.current();
    try {
      job.resolve(await job.exclusive!(state, version));
    } catch (error) {
      job.reject(error);
    } finally {
      this.#state.forget();
    }
  }

  async #runAll(job: Job<State, Change>): Promise<void> {
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
      const loaded = await this.#state.current();
      if (job.signal?.aborted) {
        job.reject(cancelled());
        return;
      }
      const planned = this.#planAll(loaded.state, job.plans!);
      if (planned.kind === "failed") {
        job.reject(planned.error);
        return;
      }
      const { answers, changes, writes } = planned;
      if (job.isDryRun || changes.length === 0) {
        planned.revert();
        job.resolve(answers);
        return;
      }
      const whole = new Batch(this.#store.limits);
      for (const each of writes) whole.add(each);
      const packed = whole.fits ? [] : this.#model.pack?.(changes) ?? [];
      const batch = packed.length === 0 ? whole : new Batch(this.#store.limits);
      batch.add({ puts: packed });
      if (!batch.fits) {
        planned.revert();
        job.reject(tooLarge(batch, this.#store));
        return;
      }
      this.#isAhead = true;
      // Undefined: after a conflict, the state is read again.
      if (!await this.#commit(loaded, { batch, undo: [undefined] })) continue;
      this.#onCommitted?.(changes);
      job.resolve(answers);
      if (packed.length > 0) await this.#unpack(loaded, { writes, packed });
      return;
    }
    job.reject(tooManyConflicts());
  }

  /** Plans on the state and applies; takes everything back where one plan fails. */
  #planAll(
    state: State,
    plans: readonly Plan<State, Change>[],
  ):
    | { readonly kind: "failed"; readonly error: unknown }
    | {
      readonly kind: "planned";
      readonly answers: readonly unknown[];
      readonly changes: readonly Change[];
      readonly writes: readonly Writes[];
      readonly revert: () => void;
    } {
    const nowMs = this.#now();
    const answers: unknown[] = [];
    const changes: Change[] = [];
    const writes: Writes[] = [];
    const reverters: (() => void)[] = [];
    const revert = () => {
      for (const undo of reverters.reverse()) undo();
    };
    try {
      for (const [item, plan] of plans.entries()) {
        const planned = plan(state, nowMs);
        if (planned.kind === "refused") {
          throw refusalError(planned, { item: String(item) });
        }
        for (const change of planned.changes) {
          writes.push(this.#model.writes(state, change));
          reverters.push(this.#model.reverter!(state, change));
          this.#model.apply(state, change);
          changes.push(change);
        }
        answers.push(planned.answer);
      }
      return { kind: "planned", answers, changes, writes, revert };
    } catch (error) {
      revert();
      return { kind: "failed", error };
    }
  }

  /** Commits the writes of changes that are durable in packed entries, and deletes those. */
  async #unpack(
    loaded: Loaded<State>,
    { writes, packed }: {
      readonly writes: readonly Writes[];
      readonly packed: Packed;
    },
  ): Promise<void> {
    try {
      for (const batch of unpacking(writes, packed, this.#store.limits)) {
        this.#isAhead = true;
        // Another process that has read the entries carries them out too.
        if (!await this.#commit(loaded, { batch, undo: [undefined] })) return;
      }
    } catch (error) {
      // What is left is carried out when the state is read again.
      log.warn("Cannot unpack a large commit yet: {error}", { error });
    }
  }

  async #runBatch(jobs: Job<State, Change>[]): Promise<void> {
    let waiting = jobs;
    let attempts = 0;
    while (waiting.length > 0) {
      const loaded = await this.#state.current();
      this.#isAhead = true;
      const batch = new Batch(this.#store.limits);
      const answers: (() => void)[] = [];
      const changes: Change[] = [];
      const undo: (Change | undefined)[] = [];
      const nowMs = this.#now();
      for (const job of waiting) {
        // After conflicts one at a time: a check of one job, besides the guard,
        // may never hold, and must not fail the others.
        if (batch.isFull || (attempts > 1 && answers.length > 0)) break;
        answers.push(this.#plan(job, { loaded, batch, changes, undo, nowMs }));
      }
      if (await this.#commit(loaded, { batch, undo })) {
        if (changes.length > 0) this.#onCommitted?.(changes);
        for (const answer of answers) answer();
        waiting = waiting.slice(answers.length);
        attempts = 0;
      } else if (++attempts > MAX_ATTEMPTS) {
        waiting[0]!.reject(tooManyConflicts());
        waiting = waiting.slice(1);
        attempts = 0;
      }
    }
  }

  /** Plans one job on the state, and returns how to answer it after the commit. */
  #plan(
    job: Job<State, Change>,
    context: {
      loaded: { state: State };
      batch: Batch;
      changes: Change[];
      undo: (Change | undefined)[];
      nowMs: number;
    },
  ): () => void {
    if (job.signal?.aborted) {
      return () => job.reject(cancelled());
    }
    const { loaded: { state }, batch, changes, undo, nowMs } = context;
    try {
      const planned = job.plan!(state, nowMs);
      if (planned.kind === "refused") {
        return () => job.reject(refusalError(planned));
      }
      for (const change of job.isDryRun ? [] : planned.changes) {
        batch.add(this.#model.writes(state, change));
        undo.push(this.#model.inverse?.(state, change));
        this.#model.apply(state, change);
        changes.push(change);
      }
      return () => job.resolve(planned.answer);
    } catch (error) {
      return () => job.reject(error);
    }
  }

  /** Whether the batch is durable now; false after a write by another process. */
  async #commit(
    loaded: Loaded<State>,
    { batch, undo }: { batch: Batch; undo: readonly (Change | undefined)[] },
  ): Promise<boolean> {
    try {
      if (batch.isEmpty) return true;
      const { guard, conditions = [] } = this.#model;
      batch.add({
        puts: [{ key: guard, value: this.#model.guardValue(loaded.state) }],
        checks: [{ key: guard, version: loaded.version }, ...conditions],
      });
      const result = await this.#store.commit(batch.commit());
      if (!result.committed) {
        this.#state.undo(loaded.state, undo);
        return false;
      }
      loaded.version = result.version;
      if (this.#isFollowed) this.#own.add(result.version);
      return true;
    } catch (error) {
      // The commit may have happened or not: read the store again.
      this.#state.forget();
      throw error;
    } finally {
      this.#isAhead = false;
      for (const commit of this.#early.splice(0)) this.receive(commit);
    }
  }
}

function cancelled(): NetError {
  return new NetError("cancelled", "The caller cancelled the request");
}

function tooManyConflicts(): NetError {
  return new NetError(
    "unavailable",
    "Cannot commit the change: others keep writing the same state; try again",
  );
}

function tooLarge({ bytes }: Batch, { limits }: Store): NetError {
  return new NetError(
    "exhausted",
    `Cannot commit the batch: it takes ${bytes} bytes, and the store takes ${limits.maxCommitBytes} in one commit; send it in parts`,
  );
}
