import type { Allocator } from "../addresses/allocator.ts";
import type { Allocators } from "../addresses/allocators.ts";
import {
  dropHandover,
  hasHandover,
  readHandover,
} from "../addresses/handover.ts";
import type { Allocation } from "../addresses/plan/allocation.ts";
import { NetError } from "../base/error.ts";
import type { Address } from "../net/address.ts";
import type { Prefix } from "../net/prefix.ts";
import type { Store } from "../store/store.ts";
import type { Guarded } from "./change_limit.ts";
import { NO_POOL, type NodeRemoval, type Nodes } from "./nodes.ts";
import type { AgentIdentity, JoinAnswer } from "./peer.ts";
import type { JoinRequest } from "./plan/join_plan.ts";
import type { DryRun, Registry } from "./registry.ts";

export interface NodePoolsOptions {
  /** The node whose own addresses are in the same store; undefined for none. */
  readonly self: string | undefined;
  /** Gives this node its subnets, unless it has left. */
  readonly claimOwn: () => Promise<unknown>;
  readonly store: Store;
  readonly registry: Registry;
  readonly nodes: Nodes;
  readonly allocators: Allocators;
  /** Revokes all certificates of a node. */
  readonly revoke: (node: string) => Promise<unknown>;
}

/**
 * Changes of the cluster that end a pool of addresses in the registry's store.
 * Each is bound to what the pool holds, and no address is given out meanwhile.
 */
export class NodePools {
  readonly #options: NodePoolsOptions;

  constructor(options: NodePoolsOptions) {
    this.#options = options;
  }

  /**
   * Takes a node's subnets back.
   *
   * @param subnet one that the node has to own; undefined: any
   * @throws {NetError} `not_found` when it owns none or not this one,
   * `failed_precondition` while it holds addresses
   */
  async release(
    node: string,
    subnet?: Prefix,
    options: DryRun = {},
  ): Promise<readonly Prefix[]> {
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
      const condition = { held, version };
      return await registry.release({ node, subnet }, condition, options);
    });
    if (!options.isDryRun) await allocators.drop(node);
    return released;
  }

  /**
   * Admits another node. From then on its own agent hands out its addresses,
   * also those that were given out over the API before. This agent's own node
   * gets its subnets before any other.
   *
   * @throws {NetError} as {@linkcode Nodes.join} does
   */
  async join(
    request: JoinRequest,
    guarded: Guarded = {},
  ): Promise<Pick<JoinAnswer, "subnets" | "hasHandover">> {
    const { self, store, allocators, nodes } = this.#options;
    const { node } = request;
    if (node === self) {
      throw new NetError(
        "already_exists",
        `Cannot join as "${node}": that is the node that hosts the registry; give this one another --node`,
      );
    }
    await this.#claimOwn();
    const allocator = await this.#poolOf(node);
    const subnets =
      await (allocator
        ? allocator.exclusive((held, version) =>
          nodes.join(request, { version, isHolding: held > 0, ...guarded })
        )
        : nodes.join(request, { ...NO_POOL, ...guarded }));
    if (allocator) await allocators.drop(node);
    return { subnets, hasHandover: await hasHandover(store, node) };
  }

  /**
   * A page of the addresses that a node's agent has to take over.
   *
   * @throws {NetError} `failed_precondition` when it is not this node's agent
   */
  async handover(
    agent: AgentIdentity,
    page: { readonly behind: Address | undefined; readonly limit: number },
  ): Promise<Allocation[]> {
    await this.#options.registry.checkAgent(agent);
    return await readHandover(this.#options.store, agent.node, page);
  }

  /** Deletes the addresses that a node's agent has taken over. @throws {NetError} as {@linkcode NodePools.handover} does */
  async finishHandover(agent: AgentIdentity): Promise<void> {
    await this.#options.registry.checkAgent(agent);
    await dropHandover(this.#options.store, agent.node);
  }

  /**
   * Forgets a node and frees its subnets, whatever it holds. When an operator
   * removes it, its certificates are revoked first.
   *
   * @param isReclaimed the registry removes it because it was silent for too
   * long: it may come back
   * @throws {NetError} as {@linkcode Nodes.remove} does
   */
  async remove(
    request: NodeRemoval,
    { isReclaimed = false, isDryRun = false }: DryRun & {
      readonly isReclaimed?: boolean;
    } = {},
  ): Promise<readonly Prefix[]> {
    const { store, allocators, nodes } = this.#options;
    const { node } = request;
    await nodes.checkRemoval(request);
    if (node === this.#options.self && request.instanceId === "") {
      throw new NetError(
        "failed_precondition",
        `Cannot remove node "${node}": it hosts the registry; run "stellar-net node leave" there`,
      );
    }
    if (isDryRun) return await this.#options.registry.subnetsOf(node);
    if (request.instanceId === "" && !isReclaimed) {
      await this.#options.revoke(node);
    }
    const allocator = await this.#poolOf(node);
    if (!allocator && isReclaimed) {
      // Refused when a heartbeat has come meanwhile.
      const removed = await nodes.remove(request);
      await dropHandover(store, node);
      return removed;
    }
    if (!allocator) {
      await dropHandover(store, node);
      // Forced: there is no way back, and a heartbeat may have come meanwhile.
      return await nodes.remove({ ...request, force: true });
    }
    await allocator.releaseAll(() => true, {
      cause: "node gone",
      text: "its node was removed",
    });
    const removed = await allocator.exclusive(async (held, version) => {
      if (held === 0) return await nodes.remove(request, { version });
      throw new NetError(
        "unavailable",
        `Cannot remove node "${node}": addresses are still given out on it; try again`,
      );
    });
    await allocators.drop(node);
    return removed;
  }

  /** Gives this node its subnets. Others may join even if it gets none. */
  async #claimOwn(): Promise<void> {
    try {
      await this.#options.claimOwn();
    } catch (error) {
      const isRefused = error instanceof NetError &&
        // No subnet is left, or the grace period after a restore lasts.
        (error.code === "exhausted" || error.code === "unavailable");
      if (!isRefused) throw error;
    }
  }

  /** The allocator of a node whose addresses are in this store; undefined when they are not. */
  async #poolOf(node: string): Promise<Allocator | undefined> {
    const { allocators, registry } = this.#options;
    try {
      return await allocators.find(node);
    } catch (error) {
      // A store that does not answer would not answer the next question either.
      const isRefused = error instanceof NetError &&
        error.code === "failed_precondition";
      // Its own agent has them.
      if (isRefused && await registry.hasAgent(node)) return undefined;
      throw error;
    }
  }
}
