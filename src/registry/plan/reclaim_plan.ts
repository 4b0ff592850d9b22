import { formatDuration } from "../../base/duration.ts";

/** Most nodes that the registry removes within one `--reclaim-after`. */
const MAX_RECLAIMS = 3;

/** A node with an agent, other than the registry's own. */
export interface WatchedNode {
  readonly name: string;
  readonly isAlive: boolean;
  /** Time for which the registry could have received a heartbeat, and did not, in ms. */
  readonly silentMs: number;
}

/** The facts about which {@linkcode planReclaim} decides. */
export interface ReclaimFacts {
  readonly nodes: readonly WatchedNode[];
  /** Silence after which a node is removed, in ms. */
  readonly afterMs: number;
  /** Number of nodes that were removed within the last `afterMs`. */
  readonly removed: number;
}

/** The removals of silent nodes. */
export interface ReclaimPlan {
  /** The nodes to remove now, the longest silent first. */
  readonly remove: readonly string[];
  /** The nodes that are removed later unless they come back, the next one first. */
  readonly pending: readonly { readonly node: string; readonly inMs: number }[];
  /** The nodes that stay until an operator removes them, or more nodes are alive. */
  readonly held: readonly string[];
  /** Whether so many nodes are silent that the registry itself is probably cut off. */
  readonly isCutOff: boolean;
}

/** A plan that removes no nodes. */
export const NO_RECLAIM: ReclaimPlan = {
  ...{ remove: [], pending: [], held: [] },
  isCutOff: false,
};

/**
 * Plans which silent nodes the registry removes.
 *
 * It removes at most {@linkcode MAX_RECLAIMS} nodes within `afterMs`. When all
 * nodes are silent at once, or more than that number and the majority, it
 * removes none: then it is more likely that the registry itself is cut off.
 */
export function planReclaim(
  { nodes, afterMs, removed }: ReclaimFacts,
): ReclaimPlan {
  const silent = nodes.filter(({ isAlive }) => !isAlive)
    .sort((a, b) => b.silentMs - a.silentMs);
  const due = silent.filter(({ silentMs }) => silentMs >= afterMs)
    .map(({ name }) => name);
  const isCutOff = silent.length > 0 &&
    (silent.length === nodes.length ||
      silent.length > MAX_RECLAIMS && 2 * silent.length > nodes.length);
  const left = isCutOff ? 0 : Math.max(0, MAX_RECLAIMS - removed);
  return {
    remove: due.slice(0, left),
    pending: silent.filter(({ silentMs }) => silentMs < afterMs)
      .map(({ name, silentMs }) => ({ node: name, inMs: afterMs - silentMs })),
    held: due.slice(left),
    isCutOff,
  };
}

/** The progress of a node's removal; `held`: an operator has to remove it. */
export type RemovalPhase = "pending" | "due" | "held";

/** The removal of a node, for people. */
export interface Removal {
  readonly node: string;
  readonly phase: RemovalPhase;
  /** One sentence. */
  readonly text: string;
}

/** Describes the removals of a plan. */
export function describeRemovals(plan: ReclaimPlan): Removal[] {
  return [
    ...plan.pending.map(({ node, inMs }): Removal => ({
      ...{ node, phase: "pending" },
      text: `${node} is removed in ${
        formatDuration(inMs)
      } unless it comes back`,
    })),
    ...plan.remove.map((node): Removal => ({
      ...{ node, phase: "due" },
      text: `${node} is removed: it was silent for too long`,
    })),
    ...plan.held.map((node): Removal => ({
      ...{ node, phase: "held" },
      text:
        `${node} was silent for too long, and stays: too many nodes are silent`,
    })),
  ];
}
