import { getLogger } from "@logtape/logtape";
import { formatDuration } from "../base/duration.ts";
import { NetError } from "../base/error.ts";
import {
  describeRemovals,
  NO_RECLAIM,
  planReclaim,
  type ReclaimPlan,
  type RemovalPhase,
  type WatchedNode,
} from "./plan/reclaim_plan.ts";

const log = getLogger(["stellar-net", "agent", "nodes"]);

export interface ReclaimerOptions {
  /** Ms since some moment. */
  readonly uptimeMs: () => number;
  /** Whether this agent is the one that removes nodes. */
  readonly isRemover: () => boolean;
  /** Counts the silence of all nodes from now on. */
  readonly restartSilence: () => void;
  /** Removes a node, unless it is alive. */
  readonly remove: (node: string) => Promise<unknown>;
  /** Called with each removal that this agent plans, carries out or holds back. Default: nothing. */
  readonly onRemoval?: (node: string, text: string) => void;
}

/** Removes nodes that have been silent for too long, and announces it beforehand. */
export class Reclaimer {
  readonly #options: ReclaimerOptions;
  #plan: ReclaimPlan = NO_RECLAIM;
  /** The removals of the last check that `onRemoval` has been called with, by node. */
  #told: ReadonlyMap<string, RemovalPhase> = new Map();
  /** When nodes were removed, by uptime. */
  #removedMs: number[] = [];

  constructor(options: ReclaimerOptions) {
    this.#options = options;
  }

  /** The removals to come, for people. */
  get warnings(): string[] {
    const { remove, pending, held } = this.#plan;
    return [
      ...remove.map((node) => `node "${node}" is removed now: it is silent`),
      ...pending.map(({ node, inMs }) =>
        `node "${node}" is silent, and is removed in ${
          formatDuration(inMs)
        } unless it comes back`
      ),
      ...held.map((node) =>
        `node "${node}" is silent for longer than --reclaim-after, and stays: too many nodes are silent; if it is gone, run "stellar-net node remove ${node}"`
      ),
    ];
  }

  /**
   * Removes nodes that are due.
   *
   * @param afterMs silence after which a node is removed, in ms
   */
  async check(nodes: readonly WatchedNode[], afterMs: number): Promise<void> {
    const { uptimeMs, isRemover, remove } = this.#options;
    this.#removedMs = this.#removedMs
      .filter((atMs) => uptimeMs() - atMs < afterMs);
    const removed = this.#removedMs.length;
    let plan = planReclaim({ nodes, afterMs, removed });
    if (this.#plan.isCutOff && !plan.isCutOff) {
      // No heartbeat could arrive until now: those of living nodes come one by one.
      this.#options.restartSilence();
      const heard = nodes.map((node) => ({ ...node, silentMs: 0 }));
      plan = planReclaim({ nodes: heard, afterMs, removed });
    }
    this.#announce(plan);
    if (!isRemover()) {
      this.#told = new Map();
      return;
    }
    this.#tell();
    for (const node of this.#plan.remove) {
      try {
        await remove(node);
      } catch (error) {
        if (!(error instanceof NetError)) throw error;
        log.info("Node {node} stays: {error}", { node, error: error.message });
        continue;
      }
      this.#removedMs.push(uptimeMs());
    }
  }

  /** Reports each removal once when it is planned, held back, and due. */
  #tell(): void {
    const before = this.#told;
    const removals = describeRemovals(this.#plan);
    this.#told = new Map(removals.map(({ node, phase }) => [node, phase]));
    for (const { node, phase, text } of removals) {
      if (before.get(node) !== phase) this.#options.onRemoval?.(node, text);
    }
  }

  #announce(plan: ReclaimPlan): void {
    const known = new Set(this.#plan.pending.map(({ node }) => node));
    for (const { node, inMs } of plan.pending) {
      if (known.has(node)) continue;
      log.warn("Node {node} is removed in {time} unless it comes back", {
        node,
        time: formatDuration(inMs),
      });
    }
    const held = plan.held.filter((node) => !this.#plan.held.includes(node));
    if (held.length > 0) {
      log.error(
        "Not removing {nodes}, although silent for long: too many nodes are silent; remove those that are gone with stellar-net node remove",
        { nodes: held.join(", ") },
      );
    }
    for (const node of plan.remove) {
      log.warn("Removing node {node}: it has been silent for too long", {
        node,
      });
    }
    this.#plan = plan;
  }
}
