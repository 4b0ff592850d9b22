import type { AgentMetrics } from "../base/agent_metrics.ts";
import { refusalError } from "../base/plan.ts";
import { releasedKey, reservedKey } from "../state/address_records.ts";
import { deleteAll, type Store } from "../store/store.ts";
import { Allocator, refuseNoSubnet } from "./allocator.ts";
import type { Allocation } from "./plan/allocation.ts";

export interface AllocatorsOptions {
  readonly store: Store;
  /** Whether others write to the store as well. Default false. */
  readonly isShared?: boolean;
  /**
   * Whether a node has subnets and its addresses are in this store.
   *
   * @throws {NetError} `failed_precondition` when they are with another agent
   */
  readonly keeps: (node: string) => Promise<boolean>;
  /** Time for which a released address is not reused while others are free, in ms. */
  readonly coolDownMs: number;
  /** The time in ms since 1970. */
  readonly now: () => number;
  /** The time for which this agent has been running, in ms. Default: the process's. */
  readonly runningMs?: () => number;
  /** The node of this host, whose containers run here. */
  readonly node?: string;
  /** Boot id of this host. */
  readonly bootId?: string;
  /** Default: none. */
  readonly metrics?: AgentMetrics;
}

/** The allocators of the nodes whose addresses are in a store. */
export class Allocators {
  readonly #options: AllocatorsOptions;
  /** One for each node, kept for good: exclusive work must stay exclusive. */
  readonly #allocators = new Map<string, Allocator>();
  /** The nodes that are known to have subnets. */
  readonly #known = new Set<string>();
  /** Number of dropped nodes: answers read before a drop may be stale. */
  #drops = 0;

  constructor(options: AllocatorsOptions) {
    this.#options = options;
  }

  /** Whether a node is known to have subnets. */
  knows(node: string): boolean {
    return this.#known.has(node);
  }

  /**
   * The allocator of a node, undefined when it has no subnet.
   *
   * @throws {NetError} `failed_precondition` when the node's own agent keeps
   * its addresses
   */
  async find(node: string): Promise<Allocator | undefined> {
    if (this.#known.has(node)) return this.#allocators.get(node);
    const { keeps, bootId, node: ownNode, ...options } = this.#options;
    const drops = this.#drops;
    if (!await keeps(node)) return undefined;
    const allocator = this.#allocators.get(node) ??
      new Allocator({
        ...options,
        node,
        ...(node === ownNode && bootId !== undefined && { bootId }),
      });
    this.#allocators.set(node, allocator);
    // Nothing reports the writes of other processes.
    const isSure = !options.isShared && drops === this.#drops;
    if (isSure) this.#known.add(node);
    return allocator;
  }

  /** The allocator of a node. @throws {NetError} `not_found` when it has no subnet */
  async get(node: string): Promise<Allocator> {
    const allocator = await this.find(node);
    if (allocator) return allocator;
    throw refusalError(refuseNoSubnet(node));
  }

  /** The time that is left to an allocation of a node, see {@linkcode Allocator.leftMs}. */
  leftMs(node: string, allocation: Allocation): number | undefined {
    return this.#allocators.get(node)?.leftMs(allocation);
  }

  /** Forgets a node without subnets, and its cooling addresses. */
  async drop(node: string): Promise<void> {
    const { store } = this.#options;
    this.#known.delete(node);
    this.#drops++;
    await deleteAll(store, releasedKey(node));
    await deleteAll(store, reservedKey(node));
  }
}
