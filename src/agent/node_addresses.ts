import { getLogger } from "@logtape/logtape";
import {
  readRuns,
  type RunsAt,
  type RunsQuery,
} from "../addresses/address_runs.ts";
import type { AllocationEvent } from "../addresses/allocation_feed.ts";
import type { Allocator } from "../addresses/allocator.ts";
import type { ChangeOptions, OwnedBy } from "../addresses/allocator_options.ts";
import type { Allocators } from "../addresses/allocators.ts";
import { Containers } from "../addresses/containers.ts";
import {
  type HistoryQuery,
  type HistoryRecord,
  pruneHistory,
  readHistory,
} from "../addresses/history.ts";
import type { RunningClock } from "../addresses/keep_alives.ts";
import type { AddressUser } from "../addresses/neighbours.ts";
import {
  type Allocation,
  isSelected,
  type Reservation,
} from "../addresses/plan/allocation.ts";
import {
  type Allocated,
  planUnclaimed,
} from "../addresses/plan/allocation_plan.ts";
import { SecondUsers } from "../addresses/second_users.ts";
import { NetError } from "../base/error.ts";
import { formatOwner, type Owner, ownerKey } from "../base/names.ts";
import { sleep } from "../base/retry.ts";
import type { Member } from "../member/member.ts";
import { type Address, formatAddress } from "../net/address.ts";
import { formatPrefix } from "../net/prefix.ts";
import { AddressesInUse, MAX_AGE_MS } from "./addresses_in_use.ts";
import type { AddressRelease, AddressRequest } from "./address_request.ts";
import type { AgentOptions, HostedRegistry } from "./open_member.ts";

const log = getLogger(["stellar-net", "agent"]);

/** Interval between looks whether a node that is watched has a subnet, in ms. */
const SUBNET_LOOK_MS = 1_000;

/**
 * The addresses of the nodes that keep them with this agent: of its own node,
 * and of the nodes without an agent if it hosts the registry.
 */
export class NodeAddresses {
  readonly #options: AgentOptions;
  readonly #node: string;
  readonly #member: Member;
  readonly #registry: HostedRegistry | undefined;
  readonly #clock: RunningClock;
  readonly #containers: Containers;
  readonly #secondUsers: SecondUsers | undefined;
  readonly #inUse: AddressesInUse;

  constructor(
    options: AgentOptions,
    { member, registry, clock }: {
      readonly member: Member;
      readonly registry: HostedRegistry | undefined;
      readonly clock: RunningClock;
    },
  ) {
    const { node, neighbours } = options;
    this.#options = options;
    this.#node = node;
    this.#member = member;
    this.#registry = registry;
    this.#clock = clock;
    this.#containers = new Containers(options);
    this.#secondUsers = neighbours && new SecondUsers(neighbours);
    this.#inUse = new AddressesInUse({ node, member, neighbours });
  }

  /** Addresses of containers that another host uses too, for people. */
  get warnings(): readonly string[] {
    return this.#secondUsers?.warnings ?? [];
  }

  /** The numbers of queued releases and of leaks. */
  counts(): ReturnType<Containers["counts"]> {
    return this.#containers.counts();
  }

  /**
   * Gives an owner one address of each network on a node, or the addresses that
   * it holds.
   * This node claims its subnets with its first allocation.
   */
  async allocate(
    node: string,
    request: AddressRequest,
    options: ChangeOptions = {},
  ): Promise<Allocated> {
    const { randomId, now } = this.#options;
    const { netns, isAttached, id = randomId(), ...asked } = request;
    const allocator = await this.#claimed(node, options);
    if (!allocator) return planUnclaimed({ ...asked, id }, now());
    const allocate = (answering?: ReadonlyMap<string, string>) => {
      const avoiding = {
        ...{ ...asked, id },
        ...(answering && { answering }),
      };
      return netns === undefined
        ? allocator.allocate(avoiding, options)
        : this.#containers.add(allocator, { ...avoiding, netns }, options);
    };
    if (isAttached) return await allocate();
    // In most cases there are none.
    const users = node === this.#node &&
      await this.#options.neighbours?.find(this.#member.subnets, MAX_AGE_MS);
    if (!users || users.size === 0) return await allocate();
    const starting = netns === undefined ? undefined : request.owner;
    return await this.#inUse.avoid(starting, allocate);
  }

  /**
   * Replaces an allocation of this node, see {@linkcode Allocator.amend}.
   *
   * @returns undefined when it is not held any more, or the new name is taken
   */
  async amend(
    held: Allocation,
    next: Allocation,
  ): Promise<Allocation | undefined> {
    return await (await this.#find(this.#node))?.amend(held, next);
  }

  /**
   * Gives addresses of a node to several owners, each once: to all or to none.
   *
   * @throws {NetError} as {@linkcode Allocator.allocateBatch}
   */
  async allocateBatch(
    node: string,
    requests: readonly Omit<AddressRequest, "netns">[],
    options: ChangeOptions = {},
  ): Promise<Allocated[]> {
    const { randomId, now } = this.#options;
    const asked = requests.map((request) => ({ id: randomId(), ...request }));
    const allocator = await this.#claimed(node, options);
    if (!allocator) return asked.map((each) => planUnclaimed(each, now()));
    const answering = node === this.#node
      ? await this.#inUse.find(undefined)
      : undefined;
    return await allocator.allocateBatch(
      asked.map((each) => ({ ...each, ...(answering && { answering }) })),
      options,
    );
  }

  /** Releases the allocations of several owners on a node: all or none. Undefined for each owner without one. */
  async releaseBatch(
    node: string,
    owners: readonly OwnedBy[],
    { reason, ...options }: ChangeOptions & { readonly reason: string },
  ): Promise<(Allocation | undefined)[]> {
    const allocator = await this.#findKnown(node);
    return await allocator?.releaseBatch(owners, reason, options) ??
      owners.map(() => undefined);
  }

  /** Restarts the time to live of allocations of a node. Undefined for each that is not held. */
  async keepAlive(
    node: string,
    owners: readonly OwnedBy[],
    options: ChangeOptions = {},
  ): Promise<(Allocation | undefined)[]> {
    const allocator = await this.#findKnown(node);
    return await allocator?.keepAlive(owners, options) ??
      owners.map(() => undefined);
  }

  /**
   * The state of an allocation of a node. `leak`: why it seems to be leaked;
   * empty when it does not. `expiresAtMs`: when it expires without a keep-alive,
   * in ms since 1970; undefined for never.
   */
  stateOf(
    node: string,
    allocation: Allocation,
  ): { readonly leak: string; readonly expiresAtMs: number | undefined } {
    const { ttlMs } = allocation;
    const leftMs = ttlMs === undefined
      ? undefined
      : this.#allocatorsOf(node).leftMs(node, allocation) ?? ttlMs;
    return {
      leak: this.leakOf(node, allocation),
      expiresAtMs: leftMs === undefined
        ? undefined
        : Math.floor(this.#options.now() + leftMs),
    };
  }

  /**
   * Releases the allocations whose time to live has ended: of this node, or of
   * the nodes without an agent whose registry this agent hosts.
   */
  async expire(whose: "own" | "others"): Promise<void> {
    this.#clock.nowMs();
    const known = await this.#registry?.host?.nodes.list() ?? [];
    const nodes = whose === "own"
      ? [this.#node]
      : known.flatMap((n) => n.state === "no agent" ? n.name : []);
    for (const node of nodes) {
      const allocator = await this.#find(node);
      for (const { owner } of await allocator?.expire() ?? []) {
        log.info("Released the addresses of {owner} on {node}: {reason}", {
          owner: formatOwner(owner),
          node,
          reason: "their time to live ended without a keep-alive",
        });
      }
    }
  }

  /**
   * The allocator of a node. If this node has no subnets, it claims them; in a
   * dry run it does not, and the result is undefined.
   */
  async #claimed(
    node: string,
    { isDryRun = false }: ChangeOptions,
  ): Promise<Allocator | undefined> {
    const allocators = this.#allocatorsOf(node);
    if (node !== this.#node) return await allocators.get(node);
    this.#member.checkPresent();
    if (allocators.knows(node)) return await allocators.get(node);
    if (!isDryRun) {
      await this.#member.claim();
      return await allocators.get(node);
    }
    await this.#member.checkClaim();
    return await allocators.find(node);
  }

  /** The allocator of a node. @throws {NetError} `unavailable` when this node has not joined yet */
  #findKnown(node: string): Promise<Allocator | undefined> {
    if (node !== this.#node || this.#member.isKnown) return this.#find(node);
    // The registry may hold addresses for it.
    throw new NetError(
      "unavailable",
      `Cannot release: node "${node}" has not joined yet, so what it holds is not known; try again`,
    );
  }

  /**
   * Releases the allocation of an ADD whose answer did not reach the runtime,
   * which may never ask for the release of addresses that it does not know.
   *
   * @param id of the ADD
   */
  async undo(node: string, owner: Owner, id: string): Promise<void> {
    await (await this.#find(node))?.release(
      owner,
      {
        cause: "undelivered",
        text: "the runtime did not wait for the answer to its CNI ADD",
      },
      { onlyIf: (allocation) => allocation.id === id },
    );
  }

  /** Releases an allocation on a node, and returns it; undefined when there was none. */
  async release(
    node: string,
    { owner, reason, id, netns }: AddressRelease,
    { isDryRun = false }: ChangeOptions = {},
  ): Promise<Allocation | undefined> {
    const allocator = await this.#findKnown(node);
    if (!allocator) return undefined;
    if (netns !== undefined && id === undefined) {
      const del = { netns, reason, isDryRun };
      return await this.#containers.del(allocator, owner, del);
    }
    return await allocator.release(owner, reason, {
      onlyIf: (allocation) => id === undefined || allocation.id === id,
      isDryRun,
    });
  }

  /**
   * Releases the allocations of a container network on a node for which a CNI
   * runtime asked, except those of some owners (CNI specification, GC).
   *
   * @param keep the owners that keep their addresses
   */
  async releaseOthers(
    node: string,
    network: string,
    keep: readonly Owner[],
    options: ChangeOptions = {},
  ): Promise<Allocation[]> {
    const kept = new Set(keep.map((owner) => ownerKey({ ...owner, network })));
    const allocator = await this.#find(node);
    return await allocator?.releaseAll(
      ({ owner, attachment }) =>
        attachment !== undefined && !attachment.docker &&
        owner.network === network &&
        !kept.has(ownerKey(owner)),
      { cause: "gc", text: "CNI GC: its container is not attached" },
      options,
    ) ?? [];
  }

  /**
   * Returns when a node has a free address.
   *
   * @throws {NetError} `exhausted` when all addresses of a subnet are held, or
   * the node has no subnet and none is left
   */
  async checkFree(node: string): Promise<void> {
    if (node === this.#node) await this.#member.checkClaim();
    else await this.#registry?.host?.registry.checkClaim(node);
    const usage = await (await this.#find(node))?.usage() ??
      [];
    const full = usage.find((u) => BigInt(u.held + u.reserved) >= u.capacity);
    if (!full) return;
    const subnet = formatPrefix(full.subnet);
    throw new NetError(
      "exhausted",
      `IP allocation exhausted: all ${full.capacity} addresses of ${subnet} are held`,
    );
  }

  /** The allocation of an owner on a node; undefined when it has none. */
  async get(node: string, owner: Owner): Promise<Allocation | undefined> {
    return (await this.#find(node))?.get(owner);
  }

  /** The allocation of a node that has an address, undefined when none has. */
  async getByAddress(
    node: string,
    address: Address,
  ): Promise<Allocation | undefined> {
    return (await this.#find(node))?.getByAddress(address);
  }

  /** Follows the allocations of a node, see {@linkcode AllocationFeed.follow}. */
  async *watch(
    node: string,
    options: { readonly from: string; readonly signal: AbortSignal },
  ): AsyncGenerator<AllocationEvent> {
    let allocator = await this.#find(node);
    if (!allocator) {
      const nothing = { allocations: [], removed: [], revision: "" };
      yield { kind: "snapshot", ...nothing };
    }
    while (!allocator && !options.signal.aborted) {
      await sleep(SUBNET_LOOK_MS, options.signal);
      allocator = await this.#find(node);
    }
    if (allocator) yield* allocator.watch(options);
  }

  /** Number of allocations of a node. */
  async count(node: string): Promise<number> {
    return await (await this.#find(node))?.count() ?? 0;
  }

  /**
   * The allocations of a node behind an address, in order of address.
   *
   * @param page `leaked`: only those that seem to be leaked. `containerId`: only
   * those of this container, in every container network. `labels`: only those
   * with all of them. `isListed`: only those that it selects
   */
  async list(
    node: string,
    page:
      & Parameters<Allocator["list"]>[0]
      & Parameters<typeof isSelected>[1]
      & { readonly leaked?: boolean },
  ): Promise<Allocation[]> {
    const allocator = await this.#find(node);
    const { leaked = false, isListed = () => true } = page;
    return await allocator?.list({
      ...page,
      isListed: (allocation) =>
        (!leaked || this.leakOf(node, allocation) !== "") &&
        isSelected(allocation, page) && isListed(allocation),
    }) ?? [];
  }

  /** Why an allocation of a node seems to be leaked; empty when it does not. */
  leakOf(node: string, allocation: Allocation): string {
    return node === this.#node ? this.#containers.leakOf(allocation) : "";
  }

  /**
   * Looks for leaked addresses, and releases those that were found before. Looks
   * for hosts that use an address of a container.
   */
  async collectLeaks(): Promise<void> {
    const allocator = await this.#find(this.#node);
    await this.#containers.collectLeaks(allocator);
    if (!allocator) return;
    await this.#secondUsers?.check(allocator, this.#member.subnets);
  }

  /**
   * The allocations of this node whose container has a link-layer address. None
   * for another node: the registry does not see the containers of its nodes.
   */
  async findMac(node: string, macAddress: string): Promise<Allocation[]> {
    const { neighbours } = this.#options;
    if (!neighbours || node !== this.#node) return [];
    const held = await this.list(node, { limit: Infinity });
    const containers = held.flatMap((allocation) => {
      const { owner: { interfaceName }, attachment } = allocation;
      const netns = attachment?.netns;
      return netns ? [{ netns, interfaceName, allocation }] : [];
    });
    const { subnets } = this.#member;
    const user = await neighbours.findMac(macAddress, { subnets, containers });
    const attached = new Set(
      [...user.containers].map(({ allocation }) => allocation),
    );
    return held.filter((allocation) =>
      attached.has(allocation) ||
      allocation.attachment?.docker?.macAddress === macAddress ||
      allocation.addresses.some(({ address }) =>
        user.addresses.has(formatAddress(address))
      )
    );
  }

  /** Records users of addresses that answered, so that nobody gets these. */
  rememberUser(address: Address, user: AddressUser): void {
    this.#options.neighbours?.remember(address, user);
  }

  /** Applies the releases that CNI plugins queued while the agent was down. */
  async applyQueue(): Promise<void> {
    if (!this.#member.isKnown) return;
    await this.#containers.applyQueue(await this.#find(this.#node));
  }

  /** The holders of a node's addresses over time, the latest event first. */
  async history(query: HistoryQuery): Promise<HistoryRecord[]> {
    const held = await this.list(query.node, { limit: Infinity });
    return await readHistory(this.#options, query, held);
  }

  /** The runs of a node's addresses that share a state, see {@linkcode readRuns}. */
  async runs(query: RunsQuery): Promise<RunsAt> {
    const { node } = query;
    const isLeaked = (held: Allocation) => this.leakOf(node, held) !== "";
    const allocator = await this.#find(node);
    return await readRuns(allocator, query, { ...this.#options, isLeaked });
  }

  /** Reserves an address of a node. @throws {NetError} as {@linkcode Allocator.reserve} */
  async reserve(
    node: string,
    reservation: Omit<Reservation, "reservedAtMs">,
    options: ChangeOptions = {},
  ): Promise<Reservation> {
    const allocator = await this.#claimed(node, options);
    return await allocator?.reserve(reservation, options) ??
      { ...reservation, reservedAtMs: this.#options.now() };
  }

  /** Ends the reservation of an address, and returns it; undefined when there was none. */
  async unreserve(
    node: string,
    address: Address,
    options: ChangeOptions = {},
  ): Promise<Reservation | undefined> {
    return await (await this.#find(node))?.unreserve(address, options);
  }

  /** The reservations of a node, in order of address. */
  async reservations(node: string): Promise<Reservation[]> {
    return await (await this.#find(node))?.reservations() ?? [];
  }

  /** Removes the records that are older than the history is kept. @returns their number */
  pruneHistory(): Promise<number> {
    const { now, keepHistoryMs } = this.#options;
    return pruneHistory(this.#options, now() - keepHistoryMs);
  }

  /** The allocator of a node; undefined when it has no subnet. */
  #find(node: string): Promise<Allocator | undefined> {
    return this.#allocatorsOf(node).find(node);
  }

  /** The allocators of a node's addresses in this agent. */
  #allocatorsOf(node: string): Allocators {
    const registry = this.#registry;
    return node === this.#node || !registry
      ? this.#member.allocators
      : (registry.host ?? registry.require()).allocators;
  }
}
