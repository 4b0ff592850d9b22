import type {
  AgentMetrics,
  AllocationOutcome,
  CommitOutcome,
  CommitSize,
  ReleaseCause,
} from "../../src/base/agent_metrics.ts";

/** Keeps what it is told, in order. */
export class FakeMetrics implements AgentMetrics {
  readonly told: (readonly [what: string, ...details: unknown[]])[] = [];
  #clock = 0;

  clock(): number {
    return ++this.#clock;
  }

  allocated(outcome: AllocationOutcome): void {
    this.told.push(["allocated", outcome]);
  }

  released(cause: ReleaseCause): void {
    this.told.push(["released", cause]);
  }

  committed(outcome: CommitOutcome, { store, mutations }: CommitSize): void {
    this.told.push([store, outcome, mutations]);
  }

  registryAnswered(): void {
    this.told.push(["answered"]);
  }

  watchRestarted(): void {
    this.told.push(["restarted"]);
  }
}
