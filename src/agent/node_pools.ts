import type { JoinRequest } from "../cluster/join.ts";
import { NetError } from "../error.ts";
import type { Prefix } from "../net/prefix.ts";
import type { Allocators } from "./allocators.ts";
import type { Membership } from "./membership.ts";
import type { Registry } from "./registry.ts";

/** What the pools of nodes are changed through. */
export interface NodePoolsOptions {
  /** The node of this agent. */
  readonly self: string;
  readonly registry: Registry;
  readonly membership: Membership;
  readonly allocators: Allocators;
}

/**
 * Changes of the cluster that end a pool of addresses in this store: they are
 * bound to nothing being held there, and nothing is given out meanwhile.
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
   * out. This node has its subnets before any other gets one.
   *
   * @throws {NetError} as {@linkcode Membership.join} does, and
   * `failed_precondition` while addresses that were given over the API are held
   */
  async join(request: JoinRequest): Promise<readonly Prefix[]> {
    const { self, allocators, registry, membership } = this.#options;
    const { node } = request;
    if (node === self) {
      throw new NetError(
        "already_exists",
        `Cannot join as "${node}": that is the node that hosts the registry; give this one another --node`,
      );
    }
    await registry.claim(self);
    const allocator = await allocators.find(node);
    if (!allocator) {
      return await membership.join(request, { kind: "there", version: null });
    }
    const subnets = await allocator.exclusive(async (held, version) => {
      if (held === 0) {
        return await membership.join(request, { kind: "there", version });
      }
      throw new NetError(
        "failed_precondition",
        `Cannot join as "${node}": ${held} of its addresses were given over the API and are held; release them first`,
      );
    });
    await allocators.drop(node);
    return subnets;
  }
}
