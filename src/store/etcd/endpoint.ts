import { EtcdConnection, type EtcdConnectionOptions } from "./connection.ts";
import type { EtcdProblem } from "./error.ts";

/** How long an endpoint that failed is tried last, in ms: at first, and at most. */
const PENALTY_MS = 5_000;
const MAX_PENALTY_MS = 60_000;

/** One endpoint, connected when it is needed. */
export class EtcdEndpoint {
  readonly #options: EtcdConnectionOptions;
  #connection: EtcdConnection | undefined;
  /** All that have not ended: calls under way on one that is going end it. */
  readonly #connections = new Set<EtcdConnection>();
  #opening: Promise<EtcdConnection> | undefined;
  #isDoubtful = false;
  #penaltyMs = 0;
  #triedLastUntil = 0;
  #problem: EtcdProblem | undefined;

  constructor(options: EtcdConnectionOptions) {
    this.#options = options;
  }

  /** `h1:2379`. */
  get name(): string {
    return this.#options.endpoint;
  }

  /** What it failed with last; undefined when it has answered since. */
  get problem(): EtcdProblem | undefined {
    return this.#problem;
  }

  /** Until when it is tried last, as `performance.now`; 0: it is not. */
  get triedLastUntil(): number {
    return this.#triedLastUntil > performance.now() ? this.#triedLastUntil : 0;
  }

  /** A connection that can be expected to work. */
  connect(): Promise<EtcdConnection> {
    const ready = this.#connection;
    if (ready?.isOpen && !ready.isQuiet && !this.#isDoubtful) {
      return Promise.resolve(ready);
    }
    return this.#opening ??= this.#connect().finally(() => {
      this.#opening = undefined;
    });
  }

  /** It has answered. */
  succeed(): void {
    this.#problem = undefined;
    this.#penaltyMs = 0;
    this.#triedLastUntil = 0;
  }

  /** It has not: for a while it is tried last, and its connection once more before it is used. */
  fail(problem: EtcdProblem): void {
    this.#problem = problem;
    this.#isDoubtful = true;
    if (this.triedLastUntil > 0) return;
    this.#penaltyMs = Math.min(
      MAX_PENALTY_MS,
      this.#penaltyMs * 2 || PENALTY_MS,
    );
    this.#triedLastUntil = performance.now() + this.#penaltyMs;
  }

  /** Ends its connection and the calls on it. */
  async close(): Promise<void> {
    await this.#opening?.catch(() => {});
    await Promise.all(
      [...this.#connections].map((connection) => connection.close()),
    );
  }

  async #connect(): Promise<EtcdConnection> {
    const old = this.#connection;
    if (old?.isOpen) {
      try {
        await old.probe();
        this.#isDoubtful = false;
        return old;
      } catch {
        // It cannot be used: a new one may.
      }
    }
    // Where it is not open it is going, and calls under way are not disturbed.
    if (old?.isOpen) await old.close();
    const connection = await EtcdConnection.open(this.#options);
    this.#connections.add(connection);
    void connection.closed.then(() => this.#connections.delete(connection));
    this.#connection = connection;
    this.#isDoubtful = false;
    return connection;
  }
}
