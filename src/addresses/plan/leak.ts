import type { Allocation } from "./allocation.ts";
import { CONSEQUENCES, type Presence } from "./attachment.ts";

/** An allocation whose container seems to be gone. */
export interface LeakCandidate {
  readonly allocation: Allocation;
  /** The evidence, such as "its network namespace is gone". */
  readonly reason: string;
  /** Uptime of the agent at the first check that found the evidence, in ms. */
  readonly sinceMs: number;
}

/** The result of a check of one container. */
export interface CheckedContainer {
  readonly allocation: Allocation;
  readonly presence: Presence;
}

/** The candidates by the id of their allocation. */
export type LeakCandidates = ReadonlyMap<string, LeakCandidate>;

/** The consequences of a check. */
export interface LeakPlan {
  /** The candidates now, among them those to release. */
  readonly candidates: LeakCandidates;
  readonly release: readonly LeakCandidate[];
}

/**
 * Plans the releases after a check of all containers. An allocation of another
 * boot goes at once. One whose namespace is gone goes when two checks, a grace
 * period apart, found that, and no check between them found otherwise.
 */
export function planLeaks(
  before: LeakCandidates,
  checked: readonly CheckedContainer[],
  time: { readonly nowMs: number; readonly graceMs: number },
): LeakPlan {
  const candidates = new Map<string, LeakCandidate>();
  const release: LeakCandidate[] = [];
  for (const { allocation, presence } of checked) {
    const { leak } = CONSEQUENCES[presence];
    if (leak === "never") continue;
    const known = before.get(allocation.id);
    const sinceMs = known?.sinceMs ?? time.nowMs;
    const candidate = {
      allocation,
      reason: reasonOf(allocation, presence),
      sinceMs,
    };
    candidates.set(allocation.id, candidate);
    const isOver = known && time.nowMs - sinceMs >= time.graceMs;
    if (leak === "at once" || isOver) release.push(candidate);
  }
  return { candidates, release };
}

function reasonOf({ attachment }: Allocation, presence: Presence): string {
  if (presence === "other boot") return "the host was booted again since";
  return attachment?.docker
    ? "Docker has no endpoint with its address"
    : `its network namespace ${attachment?.netns} is gone`;
}
