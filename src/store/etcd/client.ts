import { setTimeout as delay } from "node:timers/promises";
import { NetError } from "../../base/error.ts";
import {
  EtcdConnection,
  type EtcdConnectionOptions,
  wholeMs,
} from "./connection.ts";
import { type EtcdProblem, problemOf } from "./error.ts";
import type { EtcdOptions } from "./options.ts";

/** Options of a client. */
export interface EtcdClientOptions extends EtcdOptions {
  /** The store's URL, for messages. */
  readonly url: string;
  /** A key that may be read, whether it is there or not. */
  readonly probeKey: Uint8Array;
}

/** A call to make. */
export interface EtcdCall<T> {
  /** What it does, in front of the store's URL: `read from`. */
  readonly action: string;
  /** Whether it may be made again when it is not known what became of it. */
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
  /** Whether it is not known what became of a call that may not be repeated. */
  readonly isFinal: boolean;
}

const UNAVAILABLE = "unavailable";
/** Less than the 5 s that agents wait for each other: they are to hear why. */
const DEFAULT_TIMEOUT_MS = 4_000;
/** Parts of the time of a call: for one try of a read, and for connecting. */
const READ_SHARE = 0.4;
const CONNECT_SHARE = 0.4;
/** Between two rounds over all endpoints, in ms: at first, and at most. */
const PAUSE_MS = 50;
const MAX_PAUSE_MS = 500;

/** Makes calls to the endpoints of one etcd cluster, one after the other until one answers. */
export class EtcdClient {
  readonly #options: EtcdClientOptions;
  readonly #timeoutMs: number;
  readonly #endpoints: readonly EtcdEndpoint[];
  readonly #closing = new AbortController();
  /** The cluster, and the endpoint that named it first. */
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

  /** What each endpoint failed with last; undefined when it has answered since. */
  get problems(): ReadonlyMap<string, string | undefined> {
    return new Map(
      this.#endpoints.map(({ name, problem }) => [name, problem?.says]),
    );
  }

  /**
   * Makes a call. Where it fails it is made at the next endpoint, in rounds
   * until the time is up; one that may not be repeated, only as long as it has
   * certainly done nothing.
   *
   * @throws {NetError} naming the endpoints and what each failed with
   */
  async call<T>(call: EtcdCall<T>): Promise<T> {
    const deadline = performance.now() + this.#timeoutMs;
    const failures = new Map<EtcdEndpoint, Failure>();
    for (
      let pauseMs = PAUSE_MS;;
      pauseMs = Math.min(2 * pauseMs, MAX_PAUSE_MS)
    ) {
      for (const endpoint of this.#inOrder()) {
        if (failures.size > 0 && performance.now() > deadline) break;
        const result = await this.#try(endpoint, { call, deadline });
        if ("value" in result) return result.value;
        // The last to fail is the last in the map.
        failures.delete(endpoint);
        failures.set(endpoint, result);
        if (result.isFinal) throw this.#failure(call, failures);
      }
      const isHopeless = [...failures.values()].every(({ problem }) =>
        problem.retry !== "elsewhere"
      );
      const isLate = performance.now() + pauseMs > deadline;
      if (isHopeless || isLate || this.#closing.signal.aborted) {
        throw this.#failure(call, failures);
      }
      await this.#pause(pauseMs);
    }
  }

  /** A connection for calls that take long, of the first endpoint that has one. */
  async connect(action: string): Promise<EtcdConnection> {
    return await this.call({
      action,
      isRepeatable: true,
      run: (connection) => Promise.resolve(connection),
    });
  }

  /** The error for a long call that failed; its endpoint is tried last for a while. */
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
      // If that fails, so will the next call, and say why.
      await connection.renewToken().catch(() => {});
    }
    const failures = new Map([[endpoint, { problem, isFinal: true }]]);
    return this.#failure({ action, isRepeatable: true }, failures);
  }

  /** Lets no call wait for better times any more. */
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
      `Cannot ${action} ${this.#options.url}: ${describe(failures)}` +
        (isUnknown ? "; whether the commit was written is not known" : ""),
      { cause: last?.problem.cause },
    );
  }

  async #pause(ms: number): Promise<void> {
    const { signal } = this.#closing;
    await delay(ms * (0.5 + Math.random() / 2), undefined, { signal })
      .catch(() => {});
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

/** `h1:2379, h2:2379: nothing listens there. h3:2379: it has no leader`. */
function describe(failures: ReadonlyMap<EtcdEndpoint, Failure>): string {
  const names = new Map<string, string[]>();
  for (const [{ name }, { problem: { says } }] of failures) {
    names.set(says, [...names.get(says) ?? [], name]);
  }
  return [...names].map(([says, at]) => `${at.join(", ")}: ${says}`).join(". ");
}

/** No endpoint has answered, or one has refused. */
export class EtcdFailure extends NetError {}

/** The revision that was asked for is no longer there. */
export class CompactedError extends Error {
  override readonly name = "CompactedError";
}

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
