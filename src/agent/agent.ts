import type { SubnetListing } from "../cluster/listing.ts";
import type { ClusterConfig, LocalPrefix } from "../cluster/state.ts";
import { NetError } from "../error.ts";
import { type Allocation, type Owner, ownerKey } from "../ipam/allocation.ts";
import type { AllocationPlan, AllocationRequest } from "../ipam/plan.ts";
import { type Address, formatAddress } from "../net/address.ts";
import { type Carve, createCarve } from "../net/carve.ts";
import { formatPrefix, parsePrefix, type Prefix } from "../net/prefix.ts";
import type { Store } from "../store/store.ts";
import { Allocator, type SubnetUsage } from "./allocator.ts";
import {
  type HistoryQuery,
  type HistoryRecord,
  listHistory,
  matches,
  pruneHistory,
} from "./history.ts";
import { releasedKey } from "./ip_records.ts";
import { Registry } from "./registry.ts";

/** The network of a cluster that was created without one. */
export const DEFAULT_NETWORK: Carve = createCarve(parsePrefix("172.16.0.0/12"));

/** Options of an agent. */
export interface AgentOptions {
  /** Name of this node. */
  readonly node: string;
  readonly store: Store;
  /** Networks to create the cluster with. Empty: those that it has, or {@linkcode DEFAULT_NETWORK}. */
  readonly networks: readonly Carve[];
  /** How long a released address is not given again while others are free, in ms. */
  readonly coolDownMs: number;
  /** How long the history is kept, in ms. */
  readonly keepHistoryMs: number;
  /** The time in ms since 1970. */
  readonly now: () => number;
  /** Id of this boot of the host (`/proc/sys/kernel/random/boot_id`). */
  readonly bootId: string;
  /** Makes a random id. */
  readonly randomId: () => string;
}

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
  readonly store: string;
}

/** What one node does: it hands out addresses, and keeps the registry. */
export class Agent {
  readonly node: string;
  readonly registry: Registry;
  readonly #options: AgentOptions;
  readonly #store: Store;
  readonly #cluster: ClusterConfig;
  readonly #instanceId: string;
  readonly #startedAtMs: number;
  /** The nodes that are known to have subnets. */
  readonly #allocators = new Map<string, Allocator>();

  private constructor(
    options: AgentOptions,
    started: {
      readonly registry: Registry;
      readonly cluster: ClusterConfig;
      readonly instanceId: string;
    },
  ) {
    this.#options = options;
    this.node = options.node;
    this.registry = started.registry;
    this.#store = options.store;
    this.#cluster = started.cluster;
    this.#instanceId = started.instanceId;
    this.#startedAtMs = options.now();
  }

  /**
   * Starts an agent on its store: the cluster is created, or found.
   *
   * @throws {NetError} `failed_precondition` when the cluster has other networks
   */
  static async start(options: AgentOptions): Promise<Agent> {
    const { store, now, randomId } = options;
    const registry = new Registry({ store, now });
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
    return new Agent(options, { registry, cluster: created, instanceId });
  }

  /** Id of this boot of the host. */
  get bootId(): string {
    return this.#options.bootId;
  }

  /** What the cluster was created with. */
  get cluster(): ClusterConfig {
    return this.#cluster;
  }

  /** Takes in which prefixes this host uses itself. */
  reportPrefixes(prefixes: readonly LocalPrefix[]): Promise<void> {
    return this.registry.report(this.node, prefixes);
  }

  /**
   * Gives an owner one address of each network on a node, or what it holds.
   * This node claims its subnets with its first allocation.
   */
  async allocate(
    node: string,
    request: AllocationRequest,
    signal?: AbortSignal,
  ): Promise<Pick<AllocationPlan, "allocation" | "created">> {
    if (node === this.node && !this.#allocators.has(node)) {
      await this.registry.claim(node);
    }
    return (await this.#allocator(node)).allocate(request, signal);
  }

  /** Takes back what an owner holds on a node, and returns it; undefined when it held nothing. */
  async release(
    node: string,
    owner: Owner,
    reason: string,
  ): Promise<Allocation | undefined> {
    return (await this.#find(node))?.release(owner, reason);
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
    const allocator = await this.#find(node);
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
   * @throws {NetError} `exhausted` when all addresses of a subnet are held
   */
  async checkReady(node: string): Promise<void> {
    const usage = await (await this.#find(node))?.usage() ?? [];
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
    return (await this.#find(node))?.get(owner);
  }

  /** What is held on a node, in order of address, from behind an address on. */
  async list(
    node: string,
    page: { readonly behind?: Address; readonly limit: number },
  ): Promise<Allocation[]> {
    return await (await this.#find(node))?.list(page) ?? [];
  }

  /** Who held which address of a node, the latest event first. */
  async history(query: HistoryQuery): Promise<HistoryRecord[]> {
    const held = await this.list(query.node, { limit: Infinity });
    const records = held
      .flatMap((allocation) => heldRecords(query.node, allocation))
      .filter((record) => matches(record, query))
      .concat(await listHistory(this.#store, query));
    const time = (r: HistoryRecord) => r.releasedAtMs ?? r.allocatedAtMs;
    return records.sort((a, b) => time(b) - time(a)).slice(0, query.limit);
  }

  /** Gives a node one subnet of each network, or those that it has. */
  claim(node: string): Promise<readonly Prefix[]> {
    return this.registry.claim(node);
  }

  /**
   * Takes a node's subnets back.
   *
   * @param subnet one that the node has to own; undefined for whichever it owns
   */
  async releaseSubnets(
    node: string,
    subnet?: Prefix,
  ): Promise<readonly Prefix[]> {
    const allocator = await this.#allocator(node);
    const released = await allocator.exclusive((held, version) =>
      this.registry.release({ node, subnet }, { held, version })
    );
    this.#allocators.delete(node);
    await this.#forgetReleased(node);
    return released;
  }

  /** All subnets that are not plainly free. */
  subnets(): Promise<SubnetListing[]> {
    return this.registry.subnets();
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
      cluster: this.#cluster,
      usage: await (await this.#find(this.node))?.usage() ?? [],
      ...await this.registry.counts(),
      store: this.#store.url,
    };
  }

  /** The allocator of a node that has subnets, undefined when it has none. */
  async #find(node: string): Promise<Allocator | undefined> {
    const known = this.#allocators.get(node);
    if (known) return known;
    if ((await this.registry.subnetsOf(node)).length === 0) return undefined;
    const { now, coolDownMs } = this.#options;
    const allocator = this.#allocators.get(node) ??
      new Allocator({ store: this.#store, node, now, coolDownMs });
    this.#allocators.set(node, allocator);
    return allocator;
  }

  async #allocator(node: string): Promise<Allocator> {
    const allocator = await this.#find(node);
    if (allocator) return allocator;
    throw new NetError(
      "not_found",
      `subnet not found: node "${node}" has none; allocate a subnet to it first`,
    );
  }

  /** Removes the times of release that are left of a node without subnets. */
  async #forgetReleased(node: string): Promise<void> {
    const batch = Math.floor(this.#store.limits.maxMutations / 2);
    while (true) {
      const deletes = [];
      const left = this.#store.list(releasedKey(node), { limit: batch });
      for await (const { key } of left) deletes.push(key);
      if (deletes.length === 0) return;
      await this.#store.commit({ deletes });
    }
  }
}

function heldRecords(node: string, allocation: Allocation): HistoryRecord[] {
  return allocation.addresses.map(({ address }) => ({
    node,
    address: formatAddress(address),
    owner: allocation.owner,
    allocatedAtMs: allocation.allocatedAtMs,
    reason: "",
  }));
}

/** The random id of a state: made once, kept with it. */
async function readInstanceId(
  store: Store,
  randomId: () => string,
): Promise<string> {
  const key = ["agent", "instance"];
  const entry = await store.get(key);
  if (typeof entry?.value === "string") return entry.value;
  const id = randomId();
  await store.commit({ puts: [{ key, value: id }] });
  return id;
}
