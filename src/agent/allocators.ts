import { NetError } from "../error.ts";
import type { Store } from "../store/store.ts";
import { Allocator } from "./allocator.ts";
import { releasedKey } from "./ip_records.ts";
import type { Registry } from "./registry.ts";

/** Options of the allocators. */
export interface AllocatorsOptions {
  /** The node of this agent. */
  readonly self: string;
  readonly store: Store;
  readonly registry: Registry;
  /** How long a released address is not given again while others are free, in ms. */
  readonly coolDownMs: number;
  /** The time in ms since 1970. */
  readonly now: () => number;
}

/** The allocators of the nodes whose addresses are in a store. */
export class Allocators {
  readonly #options: AllocatorsOptions;
  /** One a node, for good: what it runs alone has to be alone. */
  readonly #allocators = new Map<string, Allocator>();
  /** The nodes that are known to have subnets. */
  readonly #known = new Set<string>();
  /** How many nodes were dropped: what was read before is not known any more. */
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
   * @throws {NetError} `failed_precondition` when the node's own agent hands
   * its addresses out
   */
  async find(node: string): Promise<Allocator | undefined> {
    if (this.#known.has(node)) return this.#allocators.get(node);
    const { self, registry, store, now, coolDownMs } = this.#options;
    const drops = this.#drops;
    const record = await registry.node(node);
    if (!record || record.subnets.length === 0) return undefined;
    if (node !== self && record.instanceId !== "") {
      throw new NetError(
        "failed_precondition",
        `Cannot reach the addresses of node "${node}": its own agent hands them out${
          record.apiUrl === "" ? "" : `, at ${record.apiUrl}`
        }`,
      );
    }
    const allocator = this.#allocators.get(node) ??
      new Allocator({ store, node, now, coolDownMs });
    this.#allocators.set(node, allocator);
    if (drops === this.#drops) this.#known.add(node);
    return allocator;
  }

  /** The allocator of a node. @throws {NetError} `not_found` when it has no subnet */
  async get(node: string): Promise<Allocator> {
    const allocator = await this.find(node);
    if (allocator) return allocator;
    throw new NetError(
      "not_found",
      `subnet not found: node "${node}" has none; allocate a subnet to it first`,
    );
  }

  /** Forgets a node whose subnets were released, and what still cooled there. */
  async drop(node: string): Promise<void> {
    const { store } = this.#options;
    this.#known.delete(node);
    this.#drops++;
    const limit = Math.floor(store.limits.maxMutations / 2);
    while (true) {
      const deletes = [];
      for await (const { key } of store.list(releasedKey(node), { limit })) {
        deletes.push(key);
      }
      if (deletes.length === 0) return;
      await store.commit({ deletes });
    }
  }
}
