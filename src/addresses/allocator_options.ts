import type { AgentMetrics } from "../base/agent_metrics.ts";
import type { Owner } from "../base/names.ts";
import type { Store } from "../store/store.ts";
import type { Allocation } from "./plan/allocation.ts";

/** The parts of an allocator. */
export interface AllocatorOptions {
  readonly store: Store;
  /** Whether others write to the store as well. Default false. */
  readonly isShared?: boolean;
  /** Name of the node. */
  readonly node: string;
  /** Boot id of the host, where the containers run; undefined: they run elsewhere. */
  readonly bootId?: string;
  /** Time for which a released address is not reused while others are free, in ms. */
  readonly coolDownMs: number;
  /** The time in ms since 1970. */
  readonly now: () => number;
  /** The time for which this agent has been running, in ms. Default: the process's. */
  readonly runningMs?: () => number;
  /** Default: none. */
  readonly metrics?: AgentMetrics;
}

/** Options of a change. */
export interface ChangeOptions {
  readonly signal?: AbortSignal | undefined;
  /** Whether it only tells what it would do. */
  readonly isDryRun?: boolean | undefined;
}

/** An owner, and which allocation of it: undefined means any. */
export interface OwnedBy {
  readonly owner: Owner;
  readonly id?: string | undefined;
}

/** Options of a release. */
export interface ReleaseOptions extends Pick<ChangeOptions, "isDryRun"> {
  readonly onlyIf?: (allocation: Allocation) => boolean;
}
