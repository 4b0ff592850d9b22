import type { JoinRequest } from "../cluster/join.ts";
import type { ClusterConfig, LocalPrefix } from "../cluster/state.ts";
import { NetError } from "../error.ts";
import { type Allocation, type Owner, ownerKey } from "../ipam/allocation.ts";
import type { AllocationPlan } from "../ipam/plan.ts";
import type { Address } from "../net/address.ts";
import { formatPrefix, type Prefix } from "../net/prefix.ts";
import type { Store } from "../store/store.ts";
import { type AgentOptions, DEFAULT_NETWORK } from "./agent_options.ts";
import type { SubnetUsage } from "./allocator.ts";
import { Allocators } from "./allocators.ts";
import { createClusterLedger } from "./cluster_ledger.ts";
import { Containers } from "./containers.ts";
import {
  type HistoryQuery,
  type HistoryRecord,
  pruneHistory,
  readHistory,
} from "./history.ts";
import { readInstanceId } from "./instance.ts";
import { Membership } from "./membership.ts";
import { NodePools } from "./node_pools.ts";
import { Registry } from "./registry.ts";

/** What an agent tells about itself. */
export interface AgentStatus {
  readonly node: string;
  readonly instanceId: string;
  readonly startedAtMs: number;
  readonly cluster: ClusterConfig;
  /** Empty: it claims its subnets with its first allocation. */
  readonly usage: readonly SubnetUsage[];
  readonly nodes: number;
  readonly routes: number;
  /** How many releases are queued on disk, and how many allocations seem to be leaked. */
  readonly queued: number;
  readonly leaked: number;
  readonly store: string;
}

/** What is asked for over the API or by a CNI runtime. */
export interface AgentRequest {
  readonly owner: Owner;
  /** Addresses asked for by number, at most one of each network. */
  readonly addresses: readonly Address[];
  /** Path of the network namespace, empty when not known. Given: a CNI runtime asks. */
  readonly netns?: string;
}

/** What one node does: it hands out addresses, and keeps the registry. */
export class Agent {
  readonly node: string;
  readonly registry: Registry;
  readonly membership: Membership;
  readonly #options: AgentOptions;
  readonly #store: Store;
  /** What the cluster was created with. */
  readonly cluster: ClusterConfig;
  readonly #instanceId: string;
  readonly #startedAtMs: number;
  readonly #containers: Containers;
  readonly #allocators: Allocators;
  readonly #pools: NodePools;

  private constructor(
    options: AgentOptions,
    started: {
      readonly registry: Registry;
      readonly membership: Membership;
      readonly cluster: ClusterConfig;
      readonly instanceId: string;
    },
  ) {
    this.#options = options;
    this.node = options.node;
    this.registry = started.registry;
    this.membership = started.membership;
    this.#store = options.store;
    this.cluster = started.cluster;
    this.#instanceId = started.instanceId;
    this.#startedAtMs = options.now();
    this.#containers = new Containers(options);
    this.#allocators = new Allocators({
      ...options,
      self: options.node,
      registry: started.registry,
    });
    this.#pools = new NodePools({
      ...started,
      self: options.node,
      allocators: this.#allocators,
    });
  }

  /**
   * Starts an agent on its store: the cluster is created, or found.
   *
   * @throws {NetError} `failed_precondition` when the cluster has other networks
   */
  static async start(options: AgentOptions): Promise<Agent> {
    const { store, now, randomId } = options;
    const ledger = createClusterLedger({
      store,
      now,
      onCommitted: (_state, changes) => membership.onCommitted(changes),
    });
    const membership = new Membership(ledger, { self: options.node, now });
    const registry = new Registry(ledger);
    const cluster = await registry.config();
    const created = cluster && options.networks.length === 0
      ? cluster
      : await registry.create({
        clusterId: randomId(),
        networks: options.networks.length > 0
          ? options.networks
          : [DEFAULT_NETWORK],
        createdAtMs: now(),
      });
    const instanceId = await readInstanceId(store, randomId);
    return new Agent(options, {
      registry,
      membership,
      cluster: created,
      instanceId,
    });
  }

  /** Takes in which prefixes this host uses itself. */
  reportPrefixes(prefixes: readonly LocalPrefix[]): Promise<void> {
    return this.registry.report({
      node: this.node,
      instanceId: this.#instanceId,
      prefixes,
    });
  }

  /**
   * Gives an owner one address of each network on a node, or what it holds.
   * This node claims its subnets with its first allocation.
   */
  async allocate(
    node: string,
    request: AgentRequest,
    signal?: AbortSignal,
  ): Promise<Pick<AllocationPlan, "allocation" | "created">> {
    if (node === this.node && !this.#allocators.knows(node)) {
      await this.registry.claim(node);
    }
    const allocator = await this.#allocators.get(node);
    const { netns, ...asked } = request;
    if (netns === undefined) return await allocator.allocate(asked, signal);
    const attachment = await this.#containers.attach(netns);
    const allocated = await allocator.allocate(
      { ...asked, attachment },
      signal,
    );
    if (!signal?.aborted || !allocated.created) return allocated;
    await this.undo(node, allocated.allocation);
    throw new NetError("cancelled", "The request was given up by its caller");
  }

  /**
   * Takes back what was given to a CNI runtime that never got the answer: it
   * knows of no address, so it may never ask for its release.
   */
  async undo(node: string, given: Allocation): Promise<void> {
    await (await this.#allocators.find(node))?.release(
      given.owner,
      "its CNI ADD was given up before it was answered",
      ({ allocatedAtMs }) => allocatedAtMs === given.allocatedAtMs,
    );
  }

  /** Takes back what an owner holds on a node, and returns it; undefined when it held nothing. */
  async release(
    node: string,
    owner: Owner,
    reason: string,
  ): Promise<Allocation | undefined> {
    return (await this.#allocators.find(node))?.release(owner, reason);
  }

  /**
   * Takes back what a container network's other owners hold on a node, of what
   * a CNI runtime asked for (CNI specification, GC).
   *
   * @param keep the owners that keep their addresses
   */
  async releaseOthers(
    node: string,
    network: string,
    keep: readonly Owner[],
  ): Promise<Allocation[]> {
    const kept = new Set(keep.map((owner) => ownerKey({ ...owner, network })));
    const allocator = await this.#allocators.find(node);
    return await allocator?.releaseAll(
      ({ owner, attachment }) =>
        attachment !== undefined && owner.network === network &&
        !kept.has(ownerKey(owner)),
      "CNI GC: its container is not attached",
    ) ?? [];
  }

  /**
   * Returns when a node could give out an address now.
   *
   * @throws {NetError} `exhausted` when all addresses of a subnet are held, or
   * the node has no subnet and none is left
   */
  async checkReady(node: string): Promise<void> {
    await this.registry.checkClaim(node);
    const usage = await (await this.#allocators.find(node))?.usage() ?? [];
    const full = usage.find((u) => BigInt(u.held) >= u.capacity);
    if (!full) return;
    throw new NetError(
      "exhausted",
      `IP allocation exhausted: all ${full.capacity} addresses of ${
        formatPrefix(full.subnet)
      } are held`,
    );
  }

  /** What an owner holds on a node, undefined when it holds nothing. */
  async get(node: string, owner: Owner): Promise<Allocation | undefined> {
    return (await this.#allocators.find(node))?.get(owner);
  }

  /**
   * What is held on a node, in order of address, from behind an address on.
   *
   * @param page `leaked`: only what seems to be leaked
   */
  async list(
    node: string,
    page: {
      readonly behind?: Address;
      readonly limit: number;
      readonly leaked?: boolean;
    },
  ): Promise<Allocation[]> {
    const allocator = await this.#allocators.find(node);
    const isListed = page.leaked
      ? (a: Allocation) => this.leakOf(node, a) !== ""
      : undefined;
    return await allocator?.list({ ...page, ...(isListed && { isListed }) }) ??
      [];
  }

  /** Why an allocation of a node seems to be leaked; empty when it does not. */
  leakOf(node: string, allocation: Allocation): string {
    return node === this.node ? this.#containers.leakOf(allocation) : "";
  }

  /** Looks for leaked addresses, and releases those that were found before. */
  async collectLeaks(): Promise<void> {
    await this.#containers.collectLeaks(await this.#allocators.find(this.node));
  }

  /** Applies the releases that CNI plugins queued while the agent was down. */
  async applyQueue(): Promise<void> {
    await this.#containers.applyQueue(await this.#allocators.find(this.node));
  }

  /** Who held which address of a node, the latest event first. */
  async history(query: HistoryQuery): Promise<HistoryRecord[]> {
    const held = await this.list(query.node, { limit: Infinity });
    return await readHistory(this.#store, query, held);
  }

  /** Takes in another host that joins: {@linkcode NodePools.join}. */
  join(request: JoinRequest): Promise<readonly Prefix[]> {
    return this.#pools.join(request);
  }

  /** Takes a node's subnets back: {@linkcode NodePools.release}. */
  releaseSubnets(node: string, subnet?: Prefix): Promise<readonly Prefix[]> {
    return this.#pools.release(node, subnet);
  }

  /** Removes what is older than the history is kept, and returns how many records that were. */
  pruneHistory(): Promise<number> {
    const { now, keepHistoryMs } = this.#options;
    return pruneHistory(this.#store, now() - keepHistoryMs);
  }

  /** How the agent is doing. */
  async status(): Promise<AgentStatus> {
    return {
      node: this.node,
      instanceId: this.#instanceId,
      startedAtMs: this.#startedAtMs,
      cluster: this.cluster,
      usage: await (await this.#allocators.find(this.node))?.usage() ?? [],
      ...await this.registry.counts(),
      ...await this.#containers.counts(),
      store: this.#store.url,
    };
  }
}
