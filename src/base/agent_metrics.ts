import type { ErrorCode } from "./error.ts";

/**
 * The outcome of a request for addresses. `existing`: its owner had them
 * already. Otherwise why there are none.
 */
export type AllocationOutcome = "created" | "existing" | ErrorCode;

/** Why addresses were taken back. */
export type ReleaseCause =
  /** Asked for over the API or by a CNI runtime. */
  | "requested"
  /** A CNI DEL that came while the agent was down. */
  | "queued"
  /** CNI GC: the container is not attached. */
  | "gc"
  /** The CNI ADD was given up before it was answered. */
  | "undelivered"
  /** By evidence: the container is gone. */
  | "leaked"
  /** Its time to live ended. */
  | "expired"
  /** The node has left the cluster, or was removed. */
  | "node gone";

/** The reason of a release, in words; a text without a cause counts as `requested`. */
export type ReleaseReason =
  | string
  | { readonly cause: ReleaseCause; readonly text: string };

/** The outcome of a commit. `conflict`: another process wrote first. */
export type CommitOutcome = "committed" | "conflict" | "failed";

/** The engine of a store: `kv` for the agent's own, `etcd` for the registry's there. */
export type StoreKind = "kv" | "etcd";

/** The writes of a commit, and its start by {@linkcode AgentMetrics.clock}. */
export interface CommitSize {
  readonly store: StoreKind;
  readonly mutations: number;
  readonly startedAtMs: number;
}

/**
 * Counts the work of an agent's parts. Every allocation calls it, so a call must
 * not throw or take more than a few hundred nanoseconds.
 */
export interface AgentMetrics {
  /** A time in ms that never goes back, to tell durations by. */
  clock(): number;
  /** A request for addresses was answered. It came at `startedAtMs` of the clock. */
  allocated(outcome: AllocationOutcome, startedAtMs: number): void;
  /** An allocation was released. */
  released(cause: ReleaseCause): void;
  /** A commit of a store has ended. */
  committed(outcome: CommitOutcome, size: CommitSize): void;
  /** The registry has answered, whatever it said. */
  registryAnswered(): void;
  /** The watch of the registry had to start again. */
  watchRestarted(): void;
}

/** Counts nothing. */
export const NO_METRICS: AgentMetrics = {
  clock: () => 0,
  allocated() {},
  released() {},
  committed() {},
  registryAnswered() {},
  watchRestarted() {},
};
