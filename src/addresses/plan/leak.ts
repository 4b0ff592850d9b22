import { type Allocation, ownerKey } from "./allocation.ts";

/** An allocation whose container seems to be gone. */
export interface LeakCandidate {
  readonly allocation: Allocation;
  /** The evidence, such as "its network namespace is gone". */
  readonly reason: string;
  /** When the evidence was seen first, in ms. */
  readonly sinceMs: number;
}

/** What a look at the containers found: the evidence against an allocation. */
export interface LeakEvidence {
  readonly allocation: Allocation;
  readonly reason: string;
}

/** The candidates by the key of their owner. */
export type LeakCandidates = ReadonlyMap<string, LeakCandidate>;

/** What follows from a look. */
export interface LeakPlan {
  /** The candidates now; those to release are among them until they are. */
  readonly candidates: LeakCandidates;
  /** Those whose evidence was there at an earlier look, a grace time ago or longer. */
  readonly release: readonly LeakCandidate[];
}

/**
 * Plans what to do about allocations whose container seems to be gone: one is
 * released when two looks, a grace time apart, found evidence against it and
 * none between found otherwise.
 */
export function planLeaks(
  before: LeakCandidates,
  evidence: readonly LeakEvidence[],
  time: { readonly nowMs: number; readonly graceMs: number },
): LeakPlan {
  const candidates = new Map<string, LeakCandidate>();
  const release: LeakCandidate[] = [];
  for (const { allocation, reason } of evidence) {
    const key = ownerKey(allocation.owner);
    const known = before.get(key);
    // Another allocation of the same owner is another container.
    const isSame = known?.allocation.allocatedAtMs === allocation.allocatedAtMs;
    const sinceMs = isSame ? known.sinceMs : time.nowMs;
    const candidate = { allocation, reason, sinceMs };
    candidates.set(key, candidate);
    if (isSame && time.nowMs - sinceMs >= time.graceMs) release.push(candidate);
  }
  return { candidates, release };
}
