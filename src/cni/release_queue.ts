import type { Owner } from "../addresses/plan/allocation.ts";

/** A release that a CNI plugin queued while the agent was down. */
export interface QueuedRelease {
  /** Names it in the queue. */
  readonly id: string;
  readonly owner: Owner;
  /** When it was asked for: what is allocated later is not meant. */
  readonly requestedAtMs: number;
}

/** Releases that wait on disk. */
export interface ReleaseQueue {
  /** How many wait. */
  size(): Promise<number>;
  /** Those that wait, the oldest first. What cannot be read is set aside. */
  list(): Promise<QueuedRelease[]>;
  /** Removes one that was applied. */
  remove(id: string): Promise<void>;
}
