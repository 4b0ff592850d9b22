import type { DescMethod } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import type {
  AgentMetrics,
  AllocationOutcome,
  CommitOutcome,
  CommitSize,
  ReleaseCause,
  StoreKind,
} from "../base/agent_metrics.ts";

/** Bounds in seconds: an allocation is one commit, and shares it under load. */
const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25]
  .concat(1, 5);

// These series exist from the start: Prometheus sees no increase in a series that appears with it.
const OUTCOMES: readonly AllocationOutcome[] = [
  "created",
  "existing",
  "exhausted",
];
const CAUSES: readonly ReleaseCause[] = ["requested", "queued", "gc"];
const MORE_CAUSES: readonly ReleaseCause[] = [
  "undelivered",
  "leaked",
  "expired",
  "node gone",
];
const COMMITS: readonly CommitOutcome[] = ["committed", "conflict", "failed"];

/** The series of one store. */
interface StoreSeries {
  readonly commits: ReadonlyMap<string, BufferedCounter>;
  readonly mutations: Counter.Internal;
  readonly seconds: Histogram.Internal<"store">;
}

/** Counts what the parts of an agent report. */
export class AgentCounters implements AgentMetrics {
  readonly #allocations: ReadonlyMap<string, BufferedCounter>;
  readonly #otherAllocations: Counter<"outcome">;
  readonly #allocationSeconds: Histogram;
  readonly #releases: ReadonlyMap<string, BufferedCounter>;
  readonly #commits: Counter<"store" | "outcome">;
  readonly #mutations: Counter<"store">;
  readonly #commitSeconds: Histogram<"store">;
  /** By store. */
  readonly #stores = new Map<StoreKind, StoreSeries>();
  readonly #answered: Gauge;
  readonly #watchRestarts: Counter;
  readonly #clockOffset: Gauge;
  #clockOffsetMs: number | undefined;

  constructor(register: Registry) {
    const registers = [register];
    this.#otherAllocations = new Counter({
      name: "stellar_net_allocations_total",
      help:
        "Requests for addresses by outcome: created, existing, or why there are none.",
      labelNames: ["outcome"],
      registers,
    });
    this.#allocations = bufferedSeries(this.#otherAllocations, OUTCOMES);
    this.#allocationSeconds = new Histogram({
      name: "stellar_net_allocation_duration_seconds",
      help: "Time from a request for addresses to its answer.",
      buckets: SECONDS,
      registers,
    });
    this.#releases = bufferedSeries(
      new Counter({
        name: "stellar_net_releases_total",
        help: "Allocations that were taken back, by cause.",
        labelNames: ["cause"],
        registers,
      }),
      [...CAUSES, ...MORE_CAUSES],
    );
    this.#commits = new Counter({
      name: "stellar_net_store_commits_total",
      help: "Commits by store and outcome.",
      labelNames: ["store", "outcome"],
      registers,
    });
    this.#mutations = new Counter({
      name: "stellar_net_store_mutations_total",
      help: "Puts and deletions in commits that were written, by store.",
      labelNames: ["store"],
      registers,
    });
    this.#commitSeconds = new Histogram({
      name: "stellar_net_store_commit_duration_seconds",
      help: "Time that a commit takes, by store.",
      labelNames: ["store"],
      buckets: SECONDS,
      registers,
    });
    this.#seriesOf("kv");
    this.#answered = new Gauge({
      name: "stellar_net_registry_last_answer_timestamp_seconds",
      help:
        "When the registry last answered, since 1970; 0 before the first time, and where it is hosted.",
      registers,
    });
    this.#watchRestarts = new Counter({
      name: "stellar_net_registry_watch_restarts_total",
      help: "How often the registry had to be followed anew.",
      registers,
    });
    this.#clockOffset = new Gauge({
      name: "stellar_net_clock_offset_seconds",
      help:
        "How far this host's clock is ahead of the registry's at least, at the last heartbeat.",
      registers,
    });
    // Without a heartbeat there is no offset, rather than 0.
    this.#clockOffset.remove({});
  }

  /** Hands the counts to the register. */
  flush(): void {
    const maps = [this.#allocations, this.#releases]
      .concat([...this.#stores.values()].map(({ commits }) => commits));
    for (const map of maps) {
      for (const series of map.values()) series.flush();
    }
  }

  clock(): number {
    return performance.now();
  }

  allocated(outcome: AllocationOutcome, startedAtMs: number): void {
    const counter = this.#allocations.get(outcome);
    if (counter) counter.inc();
    else this.#otherAllocations.inc({ outcome });
    this.#allocationSeconds.observe((performance.now() - startedAtMs) / 1000);
  }

  released(cause: ReleaseCause): void {
    this.#releases.get(cause)?.inc();
  }

  committed(outcome: CommitOutcome, size: CommitSize): void {
    const { commits, mutations, seconds } = this.#seriesOf(size.store);
    commits.get(outcome)?.inc();
    if (outcome === "committed") mutations.inc(size.mutations);
    seconds.observe((performance.now() - size.startedAtMs) / 1000);
  }

  /** The series of a store; they appear with its first commit. */
  #seriesOf(store: StoreKind): StoreSeries {
    const known = this.#stores.get(store);
    if (known) return known;
    const series = {
      commits: new Map(
        COMMITS.map((outcome) => [
          outcome,
          new BufferedCounter(this.#commits.labels(store, outcome)),
        ]),
      ),
      mutations: this.#mutations.labels(store),
      seconds: this.#commitSeconds.labels(store),
    };
    // Prometheus sees no increase in a series that appears with it.
    series.mutations.inc(0);
    this.#commitSeconds.zero({ store });
    this.#stores.set(store, series);
    return series;
  }

  registryAnswered(): void {
    this.#answered.set(Date.now() / 1000);
  }

  watchRestarted(): void {
    this.#watchRestarts.inc();
  }

  /** How far this host's clock is ahead of the registry's, in ms; undefined before the first heartbeat. */
  get clockOffsetMs(): number | undefined {
    return this.#clockOffsetMs;
  }

  /** A heartbeat was answered. @param offsetMs this host's clock less the registry's */
  clockOffset(offsetMs: number): void {
    this.#clockOffsetMs = offsetMs;
    this.#clockOffset.set(offsetMs / 1000);
  }
}

/** The series of each value of a counter's one label. */
function bufferedSeries(
  counter: Counter,
  values: readonly string[],
): Map<string, BufferedCounter> {
  return new Map(
    values.map((
      value,
    ) => [value, new BufferedCounter(counter.labels(labelValue(value)))]),
  );
}

/** A word as the value of a label: without spaces. */
export function labelValue(word: string): string {
  return word.replaceAll(" ", "_");
}

/**
 * A series of a counter that is counted up often: the client library takes a
 * third of a microsecond for each, an addition next to nothing.
 */
export class BufferedCounter {
  readonly #series: Counter.Internal;
  #pending = 0;

  constructor(series: Counter.Internal) {
    this.#series = series;
    // Prometheus sees no increase in a series that appears with it.
    series.inc(0);
  }

  inc(by = 1): void {
    this.#pending += by;
  }

  /** Hands what was counted to the library. */
  flush(): void {
    this.#series.inc(this.#pending);
    this.#pending = 0;
  }
}

/**
 * Counts the calls that a server has answered. It hears of every call: `ended`
 * may take no more than a microsecond, and does not throw.
 */
export interface CallMetrics {
  /** A time in ms that never goes back, to measure durations by. */
  clock(): number;
  /**
   * A call has ended: it was answered, or its caller has gone.
   *
   * @param end `code` is undefined when the call succeeded
   */
  ended(
    method: DescMethod,
    end: { readonly code: Code | undefined; readonly startedAtMs: number },
  ): void;
}

/** Bucket bounds in seconds. */
const CALL_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10];

interface MethodSeries {
  readonly byCode: Map<Code | undefined, BufferedCounter>;
  readonly seconds: Histogram.Internal<string> | undefined;
}

/** Counts the calls that a server has answered. */
export class CallCounters implements CallMetrics {
  readonly #calls: Counter;
  readonly #seconds: Histogram;
  readonly #methods = new Map<DescMethod, MethodSeries>();

  constructor(register: Registry) {
    this.#calls = new Counter({
      name: "stellar_net_rpc_calls_total",
      help: "Calls that have ended, by service, method and code of gRPC.",
      labelNames: ["service", "method", "code"],
      registers: [register],
    });
    this.#seconds = new Histogram({
      name: "stellar_net_rpc_call_duration_seconds",
      help: "Time from the start of a call to its answer; streams left out.",
      labelNames: ["service", "method"],
      buckets: CALL_SECONDS,
      registers: [register],
    });
  }

  /** Hands the counts to the register. */
  flush(): void {
    for (const { byCode } of this.#methods.values()) {
      for (const series of byCode.values()) series.flush();
    }
  }

  clock(): number {
    return performance.now();
  }

  ended(
    method: DescMethod,
    { code, startedAtMs }: Parameters<CallMetrics["ended"]>[1],
  ): void {
    const series = this.#methods.get(method) ?? this.#add(method);
    let counter = series.byCode.get(code);
    if (!counter) {
      const end = code === undefined ? "OK" : Code[code];
      const { parent, name } = method;
      counter = new BufferedCounter(
        this.#calls.labels(parent.typeName, name, end),
      );
      series.byCode.set(code, counter);
    }
    counter.inc();
    series.seconds?.observe((performance.now() - startedAtMs) / 1000);
  }

  #add(method: DescMethod): MethodSeries {
    const series: MethodSeries = {
      byCode: new Map(),
      // How long a stream lasts is up to its caller.
      seconds: method.methodKind === "unary"
        ? this.#seconds.labels(method.parent.typeName, method.name)
        : undefined,
    };
    this.#methods.set(method, series);
    return series;
  }
}
