import { getLogger } from "@logtape/logtape";
import { NetError } from "../base/error.ts";
import { sleep } from "../base/retry.ts";
import { type Refusal, refuse } from "../base/plan.ts";
import type { ClusterState } from "./plan/cluster_state.ts";
import { hasNewSubnets, type SubnetClaim } from "./plan/restore_grace.ts";

/**
 * Most time for which claims wait after the start, in ms: a node tries again
 * every 5 s at the latest, and an attempt that gets no answer takes 5 s.
 */
const RETURN_MS = 15_000;

const log = getLogger(["stellar-net", "agent", "registry"]);

/** Options of {@linkcode ReturningNodes}. */
export interface ReturningNodesOptions {
  /** The nodes that have an agent, as the registry knew them when it started. */
  readonly nodes: Iterable<string>;
  /** Ms since some moment. */
  readonly uptimeMs: () => number;
  /** Waits for some milliseconds, or until a signal. Default: sleep(). */
  readonly wait?: typeof sleep;
}

/** Refuses a claim that has to wait for nodes to come back. */
export type RefuseEarly = (
  state: ClusterState,
  claim: SubnetClaim,
) => Refusal | undefined;

/** The wait of a claim. */
export interface ClaimWait {
  /** The most time, in ms; 0: it is refused at once. Default: until it need not wait any longer. */
  readonly maxWaitMs?: number;
}

/**
 * The nodes that have not joined again since the registry started. A registry
 * started from an old copy does not know the subnets of nodes that joined later.
 * It learns of them only from a node that comes back. Until all nodes are back,
 * or for a while, no node gets a subnet that it did not have.
 */
export class ReturningNodes {
  readonly #uptimeMs: () => number;
  readonly #wait: typeof sleep;
  readonly #missing: Set<string>;
  readonly #startedMs: number;
  /** Aborted when all are back, or the registry stops. */
  readonly #over = new AbortController();

  constructor({ nodes, uptimeMs, wait = sleep }: ReturningNodesOptions) {
    this.#uptimeMs = uptimeMs;
    this.#wait = wait;
    this.#missing = new Set(nodes);
    this.#startedMs = uptimeMs();
  }

  /** Records that a node has joined again, or is gone. A heartbeat is not enough: it carries no revision. */
  remove(node: string): void {
    this.#missing.delete(node);
    if (this.#missing.size === 0) this.stop();
  }

  /** Ends all waits. */
  stop(): void {
    this.#over.abort();
  }

  /**
   * Submits a claim of subnets. If it has to wait for nodes to come back, it is
   * submitted again when they have.
   *
   * @param submit gets a function that refuses the claim if it has to wait
   * @throws {NetError} `unavailable` when that was not enough
   */
  async submit<T>(
    submit: (refuseEarly: RefuseEarly) => Promise<T>,
    { maxWaitMs = Infinity }: ClaimWait = {},
  ): Promise<T> {
    let early: string | undefined;
    const attempt = () => {
      early = undefined;
      return submit((state, claim) => {
        const refusal = this.#refuse(state, claim);
        early = refusal && claim.node;
        return refusal;
      });
    };
    try {
      return await attempt();
    } catch (error) {
      const isEarly = error instanceof NetError && early !== undefined;
      if (!isEarly || maxWaitMs === 0) throw error;
      // Timers may end a moment too early.
      const leftMs = Math.max(0, Math.ceil(this.#leftMs)) + 1;
      log.info("Node {node} waits for a subnet: {missing} have to join first", {
        node: early,
        missing: this.#names,
      });
      await this.#wait(Math.min(leftMs, maxWaitMs), this.#over.signal);
    }
    return await attempt();
  }

  get #leftMs(): number {
    return this.#missing.size === 0
      ? 0
      : this.#startedMs + RETURN_MS - this.#uptimeMs();
  }

  get #names(): string {
    const names = [...this.#missing].sort();
    const more = names.length - 3;
    return names.slice(0, 3).map((name) => `"${name}"`).join(", ") +
      (more > 0 ? ` and ${more} more` : "");
  }

  #refuse(state: ClusterState, claim: SubnetClaim): Refusal | undefined {
    const leftMs = this.#leftMs;
    if (leftMs <= 0 || !hasNewSubnets(state, claim)) return undefined;
    return refuse(
      "unavailable",
      `Cannot give node "${claim.node}" a subnet yet: the registry has just started, and these nodes have not joined again: ${this.#names}; a new node gets one when they have, or in ${
        Math.ceil(leftMs / 1000)
      } s`,
      "RESTORE_GRACE",
    );
  }
}

/** No node has to come back. */
export const NO_RETURNING_NODES: ReturningNodes = new ReturningNodes({
  nodes: [],
  uptimeMs: () => 0,
});
