import { RateLimit, RATES } from "../base/rate_limit.ts";
import { type Planned, type Refusal, refuse } from "../base/plan.ts";

/** Lets a plan that changes something pass, or refuses it. */
export type ChangeGuard = <T, Change>(
  plan: Planned<T, Change> | Refusal,
) => Planned<T, Change> | Refusal;

/** Options of a change that nodes make for themselves. */
export interface Guarded {
  /** Default: every change passes. */
  readonly guard?: ChangeGuard | undefined;
}

/**
 * Limits the changes of the cluster that each node makes for itself: each is a
 * commit, and all nodes hear of it. Requests that change nothing are not
 * counted.
 */
export class ChangeLimit {
  readonly #limit: RateLimit;

  /** @param uptimeMs ms since some moment */
  constructor(uptimeMs: () => number) {
    this.#limit = new RateLimit(RATES.nodeChange, uptimeMs);
  }

  /**
   * The guard of one request of a node. It counts the request once, however
   * often and in however many commits its changes are planned.
   */
  guard(node: string): ChangeGuard {
    let isCounted = false;
    return (plan) => {
      if (plan.kind === "refused" || plan.changes.length === 0 || isCounted) {
        return plan;
      }
      const waitMs = this.#limit.take(node);
      if (waitMs !== undefined) return refuseChange(node, waitMs);
      isCounted = true;
      return plan;
    };
  }
}

function refuseChange(node: string, waitMs: number): Refusal {
  const { burst, intervalMs } = RATES.nodeChange;
  return refuse(
    "exhausted",
    `Cannot change what the registry knows of node "${node}": it has made more than ${burst} changes at once and one in ${
      intervalMs / 1000
    } s; try again in ${Math.ceil(waitMs / 1000)} s`,
    "CLIENT_LIMIT",
  );
}
