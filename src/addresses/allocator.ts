import {
  type AgentMetrics,
  type AllocationOutcome,
  NO_METRICS,
  type ReleaseReason,
} from "../base/agent_metrics.ts";
import { NetError } from "../base/error.ts";
import { type Refusal, refusalError, refuse } from "../base/plan.ts";
import { Ledger } from "../ledger/ledger.ts";
import { type Address, compareAddresses } from "../net/address.ts";
import type { Version } from "../store/store.ts";
import type { Allocation, Reservation } from "./plan/allocation.ts";
import { formatOwner, type Owner, ownerKey } from "../base/names.ts";
import {
  type AllocationEvent,
  AllocationFeed,
  type FollowOptions,
} from "./allocation_feed.ts";
import { KeepAlives } from "./keep_alives.ts";
import type { Presence } from "./plan/attachment.ts";
import type { NodePool, PoolChange } from "./plan/node_pool.ts";
import type { SubnetUsage } from "./plan/subnet_pool.ts";
import {
  type Allocated,
  type AllocationRequest,
  planAllocation,
  planRelease,
  planReservation,
  planThaw,
} from "./plan/allocation_plan.ts";
import type {
  AllocatorOptions,
  ChangeOptions,
  OwnedBy,
  ReleaseOptions,
} from "./allocator_options.ts";
import { AddressModel } from "./pool_model.ts";

/** Number of releases that `releaseAll` submits at once. */
const RELEASES_AT_ONCE = 256;

/** Attempts of an ADD for a container that other ADDs replace meanwhile. */
const MAX_ATTEMPTS = 8;

/** A request, and how to ask the host for the container of an allocation. */
export type AllocatorRequest = Omit<AllocationRequest, "holder"> & {
  readonly presenceOf?: (allocation: Allocation) => Promise<Presence>;
};

/** Allocates the addresses of one node. */
export class Allocator {
  readonly #ledger: Ledger<NodePool, PoolChange>;
  readonly #node: string;
  /** Time for which a released address is not reused while others are free, in ms. */
  readonly coolDownMs: number;
  readonly #metrics: AgentMetrics;
  readonly #isShared: boolean;
  readonly #keepAlives: KeepAlives;
  readonly #feed = new AllocationFeed();

  constructor(options: AllocatorOptions) {
    this.#isShared = options.isShared ?? false;
    this.#keepAlives = new KeepAlives(
      options.runningMs ?? (() => performance.now()),
    );
    this.#node = options.node;
    this.coolDownMs = options.coolDownMs;
    this.#metrics = options.metrics ?? NO_METRICS;
    this.#ledger = new Ledger(new AddressModel(options.node, options), {
      ...options,
      onCommitted: (changes) => this.#feed.record(changes),
    });
  }

  /**
   * Gives an owner one address of each of the node's subnets, or those that it
   * holds.
   *
   * @throws {NetError} `not_found` when the node has no subnet, `exhausted`,
   * `already_exists` when another owner has a requested address or the owner's
   * container is running, `invalid_argument` when nobody can get the address
   */
  async allocate(
    request: AllocatorRequest,
    options: ChangeOptions = {},
  ): Promise<Allocated> {
    if (options.isDryRun) return await this.#allocate(request, options);
    const startedAtMs = this.#metrics.clock();
    let outcome: AllocationOutcome = "internal";
    try {
      const given = await this.#allocate(request, options);
      outcome = given.created ? "created" : "existing";
      return given;
    } catch (error) {
      if (error instanceof NetError) outcome = error.code;
      throw error;
    } finally {
      this.#metrics.allocated(outcome, startedAtMs);
    }
  }

  async #allocate(
    { presenceOf, ...request }: AllocatorRequest,
    options: ChangeOptions,
  ): Promise<Allocated> {
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
      const holder = presenceOf && await this.#holder(request, presenceOf);
      const plan = await this.#plan(
        { ...request, ...(holder && { holder }) },
        options,
      );
      if (plan.kind === "allocated") return plan;
      if (plan.kind === "refused") throw refusalError(plan);
    }
    throw new NetError(
      "unavailable",
      `Cannot allocate to ${
        formatOwner(request.owner)
      }: others keep allocating to it; try again`,
    );
  }

  async #holder(
    { owner }: Pick<AllocationRequest, "owner">,
    presenceOf: (allocation: Allocation) => Promise<Presence>,
  ): Promise<AllocationRequest["holder"]> {
    const held = await this.get(owner);
    return held?.attachment &&
      { id: held.id, presence: await presenceOf(held) };
  }

  #plan(
    request: AllocationRequest,
    { signal, isDryRun = false }: ChangeOptions,
  ): Promise<ReturnType<typeof planAllocation>> {
    return this.#ledger.submit(
      (pool, nowMs) => {
        const thaw = isDryRun ? [] : planThaw(pool, nowMs, this.coolDownMs);
        for (const change of thaw) pool.apply(change);
        const answer = pool.subnets.length === 0
          ? refuseNoSubnet(this.#node)
          : planAllocation(pool, request, nowMs);
        const isSign = answer.kind === "allocated" && !isDryRun;
        const renewal = isSign ? this.#sign(answer) : [];
        return {
          kind: "planned",
          answer,
          changes: answer.kind === "allocated"
            ? [...thaw, ...answer.changes, ...renewal]
            : thaw,
        };
      },
      signal,
      { isDryRun },
    );
  }

  /**
   * Takes an allocation's request for a sign of its caller: its time to live
   * restarts.
   *
   * @returns the change that tells other agents, where they share the store
   */
  #sign(
    { allocation, created }: Pick<Allocated, "allocation" | "created">,
  ): readonly PoolChange[] {
    if (allocation.ttlMs === undefined) return [];
    if (created || !this.#isShared) {
      this.#keepAlives.touch(allocation);
      return [];
    }
    const renewals = (allocation.renewals ?? 0) + 1;
    const renewed = { ...allocation, renewals };
    this.#keepAlives.touch(renewed);
    return [{ kind: "renew", allocation: renewed }];
  }

  /**
   * Gives addresses to several owners, each once: to all or to none.
   *
   * @throws {NetError} as {@linkcode Allocator.allocate}, with the number of the
   * request as `item`; `exhausted` also when the store takes no commit so large
   */
  async allocateBatch(
    requests: readonly AllocationRequest[],
    options: ChangeOptions = {},
  ): Promise<Allocated[]> {
    const startedAtMs = this.#metrics.clock();
    const given = await this.#ledger.submitAll(
      requests.map((request) => (pool, nowMs) => {
        if (pool.subnets.length === 0) return refuseNoSubnet(this.#node);
        const answer = planAllocation(pool, request, nowMs);
        if (answer.kind === "refused") return answer;
        if (answer.kind === "holder changed") {
          throw new TypeError("Cannot allocate a batch for a CNI runtime");
        }
        const renewal = options.isDryRun ? [] : this.#sign(answer);
        const changes = [...answer.changes, ...renewal];
        return { kind: "planned", answer, changes };
      }),
      options,
    );
    if (options.isDryRun) return given;
    for (const { created } of given) {
      this.#metrics.allocated(created ? "created" : "existing", startedAtMs);
    }
    return given;
  }

  /** Releases what several owners hold, each once: all or nothing. Undefined for each that held nothing. */
  async releaseBatch(
    owners: readonly OwnedBy[],
    reason: string,
    options: ChangeOptions = {},
  ): Promise<(Allocation | undefined)[]> {
    const released = await this.#ledger.submitAll(
      owners.map(({ owner, id }) => (pool, nowMs) => {
        const held = pool.get(owner);
        const answer = id === undefined || held?.id === id ? held : undefined;
        const changes = answer
          ? planRelease(pool, owner, { nowMs, reason })
          : [];
        return { kind: "planned", answer, changes };
      }),
      options,
    );
    if (options.isDryRun) return released;
    for (const each of released) if (each) this.#metrics.released("requested");
    return released;
  }

  /**
   * Restarts the time to live of allocations. Undefined for each owner that does
   * not hold the allocation.
   */
  async keepAlive(
    owners: readonly OwnedBy[],
    { isDryRun = false }: Pick<ChangeOptions, "isDryRun"> = {},
  ): Promise<(Allocation | undefined)[]> {
    return await Promise.all(
      owners.map(({ owner, id }) =>
        this.#ledger.submit((pool) => {
          const held = pool.get(owner);
          const answer = id === undefined || held?.id === id ? held : undefined;
          const changes = answer && !isDryRun
            ? this.#sign({ allocation: answer, created: false })
            : [];
          return { kind: "planned", answer, changes };
        })
      ),
    );
  }

  /** The time that is left to an allocation without a keep-alive, in ms; undefined: there is no limit. */
  leftMs(allocation: Allocation): number | undefined {
    return this.#keepAlives.leftMs(allocation);
  }

  /** Releases the allocations whose time to live has ended, and returns them. */
  async expire(): Promise<Allocation[]> {
    const ended = await this.#ledger.read((pool) =>
      this.#keepAlives.ended(pool.mortal)
    );
    const released = await Promise.all(
      ended.map((allocation) =>
        this.release(allocation.owner, {
          cause: "expired",
          text: "its time to live ended without a keep-alive",
        }, {
          onlyIf: (held) =>
            held.id === allocation.id && this.#keepAlives.hasEnded(held),
        })
      ),
    );
    return released.filter((allocation) => allocation !== undefined);
  }

  /**
   * Releases the allocation of an owner, and returns it; undefined when it had
   * none.
   *
   * @param options `onlyIf` decides on the allocation at that moment
   */
  async release(
    owner: Owner,
    reason: ReleaseReason,
    { onlyIf = () => true, isDryRun = false }: ReleaseOptions = {},
  ): Promise<Allocation | undefined> {
    const { cause, text } = typeof reason === "string"
      ? { cause: "requested" as const, text: reason }
      : reason;
    const released = await this.#ledger.submit(
      (pool, nowMs) => {
        const held = pool.get(owner);
        const answer = held && onlyIf(held) ? held : undefined;
        return {
          kind: "planned",
          answer,
          changes: answer
            ? planRelease(pool, owner, { nowMs, reason: text })
            : [],
        };
      },
      undefined,
      { isDryRun },
    );
    if (released && !isDryRun) this.#metrics.released(cause);
    return released;
  }

  /**
   * Replaces an allocation by one with the same id and addresses: another
   * attachment, or another name of its owner.
   *
   * @returns undefined when the owner does not hold it any more, or another
   * allocation has the new name
   */
  async amend(
    held: Allocation,
    next: Allocation,
  ): Promise<Allocation | undefined> {
    const isRenamed = ownerKey(held.owner) !== ownerKey(next.owner);
    return await this.#ledger.submit((pool) => {
      const isHeld = pool.get(held.owner)?.id === held.id &&
        !(isRenamed && pool.get(next.owner));
      const change = {
        kind: "renew" as const,
        allocation: next,
        ...isRenamed && { formerOwner: held.owner },
      };
      return {
        kind: "planned",
        answer: isHeld ? next : undefined,
        changes: isHeld ? [change] : [],
      };
    });
  }

  /** Releases every selected allocation, and returns them. */
  async releaseAll(
    select: (allocation: Allocation) => boolean,
    reason: ReleaseReason,
    { isDryRun = false }: Pick<ChangeOptions, "isDryRun"> = {},
  ): Promise<Allocation[]> {
    const selected = await this.select(select);
    if (isDryRun) return selected;
    const released: Allocation[] = [];
    for (let i = 0; i < selected.length; i += RELEASES_AT_ONCE) {
      const answers = await Promise.all(
        selected.slice(i, i + RELEASES_AT_ONCE)
          .map(({ owner }) => this.release(owner, reason, { onlyIf: select })),
      );
      released.push(...answers.filter((answer) => answer !== undefined));
    }
    return released;
  }

  /** The allocation of an owner, undefined when it has none. */
  get(owner: Owner): Promise<Allocation | undefined> {
    return this.#ledger.read((pool) => pool.get(owner));
  }

  /** Follows the allocations, see {@linkcode AllocationFeed.follow}. */
  watch(
    options: Pick<FollowOptions, "from" | "signal">,
  ): AsyncGenerator<AllocationEvent> {
    return this.#feed.follow({
      ...options,
      isShared: this.#isShared,
      read: (see) => this.#ledger.read((pool) => see(pool.values().toArray())),
    });
  }

  /** The number of allocations. */
  count(): Promise<number> {
    return this.#ledger.read((pool) => pool.size);
  }

  /** The allocation that has an address, undefined when none has. */
  getByAddress(address: Address): Promise<Allocation | undefined> {
    return this.#ledger.read((pool) => {
      const holder = pool.poolOf(address)?.holderOf(address);
      return holder && pool.get(holder);
    });
  }

  /**
   * The allocations in order of address in the first network, after an address.
   */
  list(
    page: {
      readonly behind?: Address;
      readonly limit: number;
      readonly isListed?: (allocation: Allocation) => boolean;
    },
  ): Promise<Allocation[]> {
    const { behind, limit, isListed = () => true } = page;
    return this.#ledger.read((pool) =>
      pool.allocations(behind).filter(isListed).take(limit).toArray()
    );
  }

  /** The selected allocations, in no order. */
  select(
    isSelected: (allocation: Allocation) => boolean,
  ): Promise<Allocation[]> {
    return this.#ledger.read((pool) =>
      pool.values().filter(isSelected).toArray()
    );
  }

  /**
   * Reserves an address, in place of an earlier reservation.
   *
   * @throws {NetError} `not_found`, `already_exists` when another owner holds
   * it, `invalid_argument` when nobody can get it
   */
  async reserve(
    reservation: Omit<Reservation, "reservedAtMs">,
    { isDryRun = false }: Pick<ChangeOptions, "isDryRun"> = {},
  ): Promise<Reservation> {
    return await this.#ledger.submit(
      (pool, reservedAtMs) => {
        if (pool.subnets.length === 0) return refuseNoSubnet(this.#node);
        const answer = { ...reservation, reservedAtMs };
        const changes = planReservation(pool, answer);
        return "kind" in changes
          ? changes
          : { kind: "planned", answer, changes };
      },
      undefined,
      { isDryRun },
    );
  }

  /** Ends the reservation of an address, and returns it; undefined when there was none. */
  async unreserve(
    address: Address,
    { isDryRun = false }: Pick<ChangeOptions, "isDryRun"> = {},
  ): Promise<Reservation | undefined> {
    return await this.#ledger.submit(
      (pool) => {
        const answer = pool.poolOf(address)?.reservationOf(address);
        return {
          kind: "planned",
          answer,
          changes: answer ? [{ kind: "unreserve", address }] : [],
        };
      },
      undefined,
      { isDryRun },
    );
  }

  /** The reservations, in order of address. */
  async reservations(): Promise<Reservation[]> {
    const all = await this.#ledger.read((pool) =>
      pool.subnets.flatMap((subnetPool) => [...subnetPool.reservations])
    );
    return all.sort((a, b) => compareAddresses(a.address, b.address));
  }

  /** Looks at the addresses as they are after all changes so far. */
  read<T>(see: (pool: NodePool) => T): Promise<T> {
    return this.#ledger.read(see);
  }

  /** The use of the node's subnets; empty when it has none. */
  usage(): Promise<SubnetUsage[]> {
    return this.#ledger.read((pool) => pool.subnets.map(({ usage }) => usage));
  }

  /**
   * Runs a function while the allocator does nothing else. The function gets the
   * number of allocations, and the version of the node's pool to check in its
   * own commit.
   */
  exclusive<T>(
    run: (held: number, version: Version | null) => Promise<T>,
  ): Promise<T> {
    return this.#ledger.exclusive((pool, version) => run(pool.size, version));
  }
}

/** The refusal where a node has no subnet. */
export function refuseNoSubnet(node: string): Refusal {
  return refuse(
    "not_found",
    `subnet not found: node "${node}" has none; allocate a subnet to it first`,
  );
}
