import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import type {
  AgentMetrics,
  AllocationOutcome,
  CommitOutcome,
  CommitSize,
  ReleaseCause,
} from "../base/agent_metrics.ts";
import { Tally } from "./series.ts";

/** Bounds in seconds: an allocation is one commit, and shares it under load. */
const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25]
  .concat(1, 5);

/** What is there from the start: of a series that is not there no increase is seen. */
const OUTCOMES: readonly AllocationOutcome[] = [
  "created",
  "existing",
  "exhausted",
];
const CAUSES: readonly ReleaseCause[] = ["requested", "queued", "gc"];
const MORE_CAUSES: readonly ReleaseCause[] = [
  "undelivered",
  "leaked",
  "node gone",
];
const COMMITS: readonly CommitOutcome[] = ["committed", "conflict", "failed"];

/** Counts what the parts of an agent tell. */
export class AgentCounters implements AgentMetrics {
  readonly #allocations: ReadonlyMap<string, Tally>;
  readonly #otherAllocations: Counter<"outcome">;
  readonly #allocationSeconds: Histogram;
  readonly #releases: ReadonlyMap<string, Tally>;
  readonly #commits: ReadonlyMap<string, Tally>;
  readonly #mutations: Counter;
  readonly #commitSeconds: Histogram;
  readonly #answered: Gauge;
  readonly #watchRestarts: Counter;

  constructor(register: Registry) {
    const registers = [register];
    this.#otherAllocations = new Counter({
      name: "stellar_net_allocations_total",
      help:
        "Requests for addresses by outcome: created, existing, or why there are none.",
      labelNames: ["outcome"],
      registers,
    });
    this.#allocations = tallies(this.#otherAllocations, OUTCOMES);
    this.#allocationSeconds = new Histogram({
      name: "stellar_net_allocation_duration_seconds",
      help: "Time from a request for addresses to its answer.",
      buckets: SECONDS,
      registers,
    });
    this.#releases = tallies(
      new Counter({
        name: "stellar_net_releases_total",
        help: "Allocations that were taken back, by cause.",
        labelNames: ["cause"],
        registers,
      }),
      [...CAUSES, ...MORE_CAUSES],
    );
    this.#commits = tallies(
      new Counter({
        name: "stellar_net_store_commits_total",
        help: "Commits of the store by outcome.",
        labelNames: ["outcome"],
        registers,
      }),
      COMMITS,
    );
    this.#mutations = new Counter({
      name: "stellar_net_store_mutations_total",
      help: "Puts and deletions in commits that were written.",
      registers,
    });
    this.#commitSeconds = new Histogram({
      name: "stellar_net_store_commit_duration_seconds",
      help: "Time that a commit of the store takes.",
      buckets: SECONDS,
      registers,
    });
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
  }

  /** Makes what was counted visible. */
  flush(): void {
    for (const map of [this.#allocations, this.#releases, this.#commits]) {
      for (const tally of map.values()) tally.flush();
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
    this.#commits.get(outcome)?.inc();
    if (outcome === "committed") this.#mutations.inc(size.mutations);
    this.#commitSeconds.observe((performance.now() - size.startedAtMs) / 1000);
  }

  registryAnswered(): void {
    this.#answered.set(Date.now() / 1000);
  }

  watchRestarted(): void {
    this.#watchRestarts.inc();
  }
}

/** The series of each value of a counter's one label. */
function tallies(
  counter: Counter,
  values: readonly string[],
): Map<string, Tally> {
  return new Map(
    values.map((
      value,
    ) => [value, new Tally(counter.labels(labelValue(value)))]),
  );
}

/** A word as the value of a label: without spaces. */
export function labelValue(word: string): string {
  return word.replaceAll(" ", "_");
}
