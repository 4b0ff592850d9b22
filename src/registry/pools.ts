import type { JoinRequest } from "./plan/join_plan.ts";
import { NetError } from "../base/error.ts";
import type { Allocation } from "../addresses/plan/allocation.ts";
import type { Address } from "../net/address.ts";
import type { Prefix } from "../net/prefix.ts";
import type { Store } from "../store/store.ts";
import type { Allocator } from "../addresses/allocator.ts";
import type { Allocators } from "../addresses/allocators.ts";
import {
  dropHandover,
  hasHandover,
  readHandover,
} from "../addresses/handover.ts";
import type { Membership, NodeRemoval } from "./nodes.ts";
import type { Registry } from "./registry.ts";

/** What the pools of nodes are changed through. */
export interface NodePoolsOptions {
  /** The node whose own addresses are in the same store; undefined for none. */
  readonly self: string | undefined;
  /** Gives this node its subnets, unless it has left. */
  readonly claimOwn: () => Promise<unknown>;
  readonly store: Store;
  readonly registry: Registry;
  readonly membership: Membership;
  readonly allocators: Allocators;
  /** Sees that no certificate is accepted that a node has so far. */
  readonly revoke: (node: string) => Promise<unknown>;
}

/** What a host that joins gets. */
export interface Joined {
  /** One subnet of each network. */
  readonly subnets: readonly Prefix[];
  /** Whether there are addresses that its agent has to take over first. */
  readonly hasHandover: boolean;
}

/**
 * Changes of the cluster that end a pool of addresses in the registry's store:
 * they are bound to what is held there, and nothing is given out meanwhile.
 */
export class NodePools {
  readonly #options: NodePoolsOptions;

  constructor(options: NodePoolsOptions) {
    this.#options = options;
  }

  /**
   * Takes a node's subnets back.
   *
   * @param subnet one that the node has to own; undefined for whichever it owns
   * @throws {NetError} `not_found` when it owns none or not this one,
   * `failed_precondition` while it holds addresses
   */
  async release(node: string, subnet?: Prefix): Promise<readonly Prefix[]> {
    const { allocators, registry } = this.#options;
    const allocator = await allocators.get(node);
    const released = await allocator.exclusive(async (held, version) => {
      // Another release came first; a claim may follow it at any moment.
      if (version === null) {
        throw new NetError(
          "not_found",
          `subnet not found: node "${node}" has none`,
        );
      }
      return await registry.release({ node, subnet }, { held, version });
    });
    await allocators.drop(node);
    return released;
  }

  /**
   * Takes in another host that joins: its addresses are its own agent's to hand
   * out, those too that were given over the API before. This node has its
   * subnets before any other gets one.
   *
   * @throws {NetError} as {@linkcode Membership.join} does
   */
  async join(request: JoinRequest): Promise<Joined> {
    const { self, store, allocators, membership } = this.#options;
    const { node } = request;
    if (node === self) {
      throw new NetError(
        "already_exists",
        `Cannot join as "${node}": that is the node that hosts the registry; give this one another --node`,
      );
    }
    await this.#claimOwn();
    const allocator = await this.#poolOf(node);
    if (!allocator) {
      const subnets = await membership.join(request);
      return { subnets, hasHandover: await hasHandover(store, node) };
    }
    const subnets = await allocator.exclusive((held, version) =>
      membership.join(request, { version, isHolding: held > 0 })
    );
    await allocators.drop(node);
    return { subnets, hasHandover: await hasHandover(store, node) };
  }

  /**
   * A page of the addresses that the agent of a node has to take over.
   *
   * @throws {NetError} `failed_precondition` when it is not this node's agent
   */
  async handover(
    agent: { readonly node: string; readonly instanceId: string },
    page: { readonly behind: Address | undefined; readonly limit: number },
  ): Promise<Allocation[]> {
    await this.#options.registry.checkAgent(agent);
    return await readHandover(this.#options.store, agent.node, page);
  }

  /** Takes in that the agent of a node has them. @throws {NetError} as {@linkcode NodePools.handover} does */
  async finishHandover(
    agent: { readonly node: string; readonly instanceId: string },
  ): Promise<void> {
    await this.#options.registry.checkAgent(agent);
    await dropHandover(this.#options.store, agent.node);
  }

  /**
   * Forgets a node and frees its subnets, whatever it holds. Where an operator
   * removes it, its certificates are revoked first.
   *
   * @param isReclaimed it was silent for too long: it may come back
   * @throws {NetError} as {@linkcode Membership.remove} does
   */
  async remove(
    request: NodeRemoval,
    { isReclaimed = false }: { readonly isReclaimed?: boolean } = {},
  ): Promise<readonly Prefix[]> {
    const { store, allocators, membership } = this.#options;
    const { node } = request;
    await membership.checkRemoval(request);
    if (node === this.#options.self && request.instanceId === "") {
      throw new NetError(
        "failed_precondition",
        `Cannot remove node "${node}": it hosts the registry; run "stellar-net node leave" there`,
      );
    }
    if (request.instanceId === "" && !isReclaimed) {
      await this.#options.revoke(node);
    }
    const allocator = await this.#poolOf(node);
    if (!allocator) {
      await dropHandover(store, node);
      // There is no way back: it may have been heard of in between.
      return await membership.remove({ ...request, force: true });
    }
    await allocator.releaseAll(() => true, {
      cause: "node gone",
      text: "its node was removed",
    });
    const removed = await allocator.exclusive(async (held, version) => {
      if (held === 0) return await membership.remove(request, { version });
      throw new NetError(
        "unavailable",
        `Cannot remove node "${node}": addresses are still given out on it; try again`,
      );
    });
    await allocators.drop(node);
    return removed;
  }

  /** Gives this node its subnets. Where it gets none others join all the same. */
  async #claimOwn(): Promise<void> {
    try {
      await this.#options.claimOwn();
    } catch (error) {
      const isRefused = error instanceof NetError &&
        // Full, or settling after a restore.
        (error.code === "exhausted" || error.code === "unavailable");
      if (!isRefused) throw error;
    }
  }

  /** Who hands out a node's addresses that are in this store; undefined when none are. */
  async #poolOf(node: string): Promise<Allocator | undefined> {
    const { allocators, registry } = this.#options;
    try {
      return await allocators.find(node);
    } catch (error) {
      // Of a store that does not answer there is no more to ask.
      const isRefused = error instanceof NetError &&
        error.code === "failed_precondition";
      // Its own agent has them.
      if (isRefused && await registry.hasAgent(node)) return undefined;
      throw error;
    }
  }
}
