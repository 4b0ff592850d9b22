import { NetError } from "../../base/error.ts";
import { BackOff, sleep } from "../../base/retry.ts";
import {
  EtcdConnection,
  type EtcdConnectionOptions,
  wholeMs,
} from "./connection.ts";
import { type EtcdProblem, problemOf } from "./error.ts";
import type { EtcdOptions } from "./options.ts";

export interface EtcdClientOptions extends EtcdOptions {
  /** The store's URL, for messages. */
  readonly url: string;
  /** A key that the user may read; it need not exist. */
  readonly probeKey: Uint8Array;
}

/** A call to make. */
export interface EtcdCall<T> {
  /** The verb before the store's URL in messages: `read from`. */
  readonly action: string;
  /** Whether it may be made again when its outcome is not known. */
  readonly isRepeatable: boolean;
  /** Makes it once. */
  readonly run: (
    connection: EtcdConnection,
    options: {
      readonly headers: Record<string, string>;
      readonly timeoutMs: number;
    },
  ) => Promise<T>;
}

interface Failure {
  readonly problem: EtcdProblem;
  /** Whether the outcome of a call is not known that may not be repeated. */
  readonly isFinal: boolean;
}

const UNAVAILABLE = "unavailable";
/** Less than the 5 s for which agents wait for each other, so that the reason reaches them. */
const DEFAULT_TIMEOUT_MS = 4_000;
/** Shares of a call's time: for one attempt of a read, and for connecting. */
const READ_SHARE = 0.4;
const CONNECT_SHARE = 0.4;
/** Waits between two rounds over all endpoints, in ms. */
const FIRST_BACK_OFF_MS = 50;
const MAX_BACK_OFF_MS = 500;

/** Calls the endpoints of one etcd cluster in turn until one answers. */
export class EtcdClient {
  readonly #options: EtcdClientOptions;
  readonly #timeoutMs: number;
  readonly #endpoints: readonly EtcdEndpoint[];
  readonly #closing = new AbortController();
  /** The cluster's id, and the endpoint that told it first. */
  #cluster: { readonly id: bigint; readonly endpoint: string } | undefined;

  constructor(options: EtcdClientOptions) {
    const { tls, user, probeKey, timeoutMs = DEFAULT_TIMEOUT_MS } = options;
    this.#options = options;
    this.#timeoutMs = timeoutMs;
    this.#endpoints = options.endpoints.map((endpoint) =>
      new EtcdEndpoint({
        endpoint,
        probeKey,
        connectTimeoutMs: wholeMs(timeoutMs * CONNECT_SHARE),
        checkCluster: (id) => this.#checkCluster(id, endpoint),
        ...tls ? { tls } : {},
        ...user ? { user } : {},
      })
    );
  }

  /** The certificates of the members that it is connected to, in PEM; none in plain text. */
  get certificates(): readonly string[] {
    return this.#endpoints.flatMap(({ certificate }) => certificate ?? []);
  }

  /** The last problem of each endpoint; undefined when it has answered since. */
  get problems(): ReadonlyMap<string, string | undefined> {
    return new Map(
      this.#endpoints.map(({ name, problem }) => [name, problem?.says]),
    );
  }

  /**
   * Makes a call. When an endpoint fails, the next one gets the call, in rounds
   * until the time is up. A call that may not be repeated goes to the next one
   * only if it has certainly changed nothing.
   *
   * @throws {NetError} with the problem of each endpoint
   */
  async call<T>(call: EtcdCall<T>): Promise<T> {
    const deadline = performance.now() + this.#timeoutMs;
    const failures = new Map<EtcdEndpoint, Failure>();
    const backOff = new BackOff({
      firstMs: FIRST_BACK_OFF_MS,
      maxMs: MAX_BACK_OFF_MS,
      random: Math.random,
    });
    for (;;) {
      for (const endpoint of this.#inOrder()) {
        if (failures.size > 0 && performance.now() > deadline) break;
        const result = await this.#try(endpoint, { call, deadline });
        if ("value" in result) return result.value;
        // Keeps the endpoints in the order in which they failed.
        failures.delete(endpoint);
        failures.set(endpoint, result);
        if (result.isFinal) throw this.#failure(call, failures);
      }
      const isHopeless = [...failures.values()].every(({ problem }) =>
        problem.retry !== "elsewhere"
      );
      const pauseMs = backOff.next();
      const isLate = performance.now() + pauseMs > deadline;
      if (isHopeless || isLate || this.#closing.signal.aborted) {
        throw this.#failure(call, failures);
      }
      await sleep(pauseMs, this.#closing.signal);
    }
  }

  /** A connection for a long call, to the first endpoint that answers. */
  async connect(action: string): Promise<EtcdConnection> {
    return await this.call({
      action,
      isRepeatable: true,
      run: (connection) => Promise.resolve(connection),
    });
  }

  /** The error of a long call that failed. Its endpoint is tried last for a while. */
  async fail(
    connection: EtcdConnection,
    { action, error }: { readonly action: string; readonly error: unknown },
  ): Promise<EtcdFailure> {
    const problem = problemOf(error);
    const endpoint = this.#endpoints.find(({ name }) =>
      name === connection.endpoint
    )!;
    if (problem.retry === "elsewhere") endpoint.fail(problem);
    if (problem.retry === "token") {
      // If that fails, the next call fails too, and its error says why.
      await connection.renewToken().catch(() => {});
    }
    const failures = new Map([[endpoint, { problem, isFinal: true }]]);
    return this.#failure({ action, isRepeatable: true }, failures);
  }

  /** Ends the waits of calls between attempts. */
  stopWaiting(): void {
    this.#closing.abort();
  }

  /** Ends all connections and the calls on them. */
  async close(): Promise<void> {
    this.stopWaiting();
    await Promise.all(this.#endpoints.map((endpoint) => endpoint.close()));
  }

  #inOrder(): EtcdEndpoint[] {
    return [...this.#endpoints].sort((a, b) =>
      a.triedLastUntil - b.triedLastUntil
    );
  }

  async #try<T>(
    endpoint: EtcdEndpoint,
    { call, deadline }: {
      readonly call: EtcdCall<T>;
      readonly deadline: number;
    },
  ): Promise<{ readonly value: T } | Failure> {
    for (let isFirst = true;; isFirst = false) {
      let hasBegun = false;
      try {
        const connection = await endpoint.connect();
        if (!isFirst) await connection.renewToken();
        const leftMs = deadline - performance.now();
        hasBegun = true;
        const value = await call.run(connection, {
          headers: connection.headers,
          timeoutMs: wholeMs(
            call.isRepeatable
              ? Math.min(leftMs, this.#timeoutMs * READ_SHARE)
              : leftMs,
          ),
        });
        endpoint.succeed();
        return { value };
      } catch (error) {
        // A defect of this program is none of the endpoint.
        if (error instanceof RangeError) throw error;
        const problem = problemOf(error);
        if (problem.isCompacted) throw new CompactedError();
        if (problem.retry === "token" && hasBegun && isFirst) continue;
        if (!hasBegun || problem.retry === "elsewhere") endpoint.fail(problem);
        return {
          problem,
          isFinal: hasBegun && !call.isRepeatable && !problem.isUnwritten,
        };
      }
    }
  }

  #failure(
    { action, isRepeatable }: Pick<
      EtcdCall<unknown>,
      "action" | "isRepeatable"
    >,
    failures: ReadonlyMap<EtcdEndpoint, Failure>,
  ): EtcdFailure {
    const last = [...failures.values()].at(-1);
    const isUnknown = !isRepeatable && last?.isFinal;
    const problems = [...failures.values()].map(({ problem }) => problem);
    const code = isUnknown || problems.every(({ code }) => code !== UNAVAILABLE)
      ? last?.problem.code
      : UNAVAILABLE;
    return new EtcdFailure(
      code ?? UNAVAILABLE,
      `Cannot ${action} ${this.#options.url}: ${this.#describe(failures)}` +
        (isUnknown ? "; whether the commit was written is not known" : ""),
      { cause: last?.problem.cause },
    );
  }

  /**
   * `h1:2379, h2:2379: nothing listens there. h3:2379: it has no leader`. The
   * same for the same problems, in whatever order endpoints were tried, and
   * whether or not time was left for all of them: logs repeat no problem.
   */
  #describe(failures: ReadonlyMap<EtcdEndpoint, Failure>): string {
    const isFinal = [...failures.values()].some((failure) => failure.isFinal);
    const names = new Map<string, string[]>();
    for (const endpoint of this.#endpoints) {
      const problem = failures.get(endpoint)?.problem ??
        (isFinal ? undefined : endpoint.problem);
      if (!problem) continue;
      const { says } = problem;
      names.set(says, [...names.get(says) ?? [], endpoint.name]);
    }
    return [...names].map(([says, at]) => `${at.join(", ")}: ${says}`)
      .join(". ");
  }

  #checkCluster(id: bigint, endpoint: string): void {
    this.#cluster ??= { id, endpoint };
    if (id === this.#cluster.id) return;
    throw new NetError(
      "failed_precondition",
      `it belongs to another cluster (${
        id.toString(16)
      }) than ${this.#cluster.endpoint} ` +
        `(${this.#cluster.id.toString(16)}); name members of one in --store, ` +
        "and after etcd was restored from a backup restart the agents",
    );
  }
}

/** No endpoint has answered, or one has refused. */
export class EtcdFailure extends NetError {}

/** The revision that was asked for is no longer there. */
export class CompactedError extends Error {
  override readonly name = "CompactedError";
}

/** Time for which a failed endpoint is tried last, in ms. */
const FIRST_PENALTY_MS = 5_000;
const MAX_PENALTY_MS = 60_000;

/** One endpoint. It connects when it is needed. */
class EtcdEndpoint {
  readonly #options: EtcdConnectionOptions;
  #connection: EtcdConnection | undefined;
  /** All open connections: a replaced one ends after its calls in flight. */
  readonly #connections = new Set<EtcdConnection>();
  #opening: Promise<EtcdConnection> | undefined;
  #isDoubtful = false;
  readonly #penalty = new BackOff({
    firstMs: FIRST_PENALTY_MS,
    maxMs: MAX_PENALTY_MS,
  });
  #triedLastUntil = 0;
  #problem: EtcdProblem | undefined;

  constructor(options: EtcdConnectionOptions) {
    this.#options = options;
  }

  /** The member's certificate in PEM; undefined without a connection, and in plain text. */
  get certificate(): string | undefined {
    return this.#connection?.certificate;
  }

  /** `h1:2379`. */
  get name(): string {
    return this.#options.endpoint;
  }

  /** Its last problem; undefined when it has answered since. */
  get problem(): EtcdProblem | undefined {
    return this.#problem;
  }

  /** Until when it is tried last, by `performance.now()`; 0: it is not. */
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

  /** Records an answer. */
  succeed(): void {
    this.#problem = undefined;
    this.#penalty.reset();
    this.#triedLastUntil = 0;
  }

  /** Records a failure: the endpoint is tried last for a while, and its connection is probed before the next use. */
  fail(problem: EtcdProblem): void {
    this.#problem = problem;
    this.#isDoubtful = true;
    if (this.triedLastUntil > 0) return;
    this.#triedLastUntil = performance.now() + this.#penalty.next();
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
        // A new connection may work.
      }
    }
    // One that is closing finishes its calls in flight.
    if (old?.isOpen) await old.close();
    const connection = await EtcdConnection.open(this.#options);
    this.#connections.add(connection);
    void connection.closed.then(() => this.#connections.delete(connection));
    this.#connection = connection;
    this.#isDoubtful = false;
    return connection;
  }
}
