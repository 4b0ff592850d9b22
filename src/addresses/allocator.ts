import {
  type AgentMetrics,
  type AllocationOutcome,
  NO_METRICS,
  type ReleaseReason,
} from "../base/agent_metrics.ts";
import { NetError } from "../base/error.ts";
import { type Refusal, refuse } from "../base/plan.ts";
import { Ledger } from "../ledger/ledger.ts";
import type { Address } from "../net/address.ts";
import type { Prefix } from "../net/prefix.ts";
import type { Store, Version } from "../store/store.ts";
import type { Allocation, Owner } from "./plan/allocation.ts";
import type { NodePool, PoolChange } from "./plan/node_pool.ts";
import {
  type AllocationPlan,
  type AllocationRequest,
  planAllocation,
  planRelease,
  planThaw,
} from "./plan/allocation_plan.ts";
import { AddressModel } from "./pool_model.ts";

/** Options of an allocator. */
export interface AllocatorOptions {
  readonly store: Store;
  /** Whether others write to the store as well. Default false. */
  readonly isShared?: boolean;
  /** Name of the node whose addresses it hands out. */
  readonly node: string;
  /** How long a released address is not given again while others are free, in ms. */
  readonly coolDownMs: number;
  /** The time in ms since 1970. */
  readonly now: () => number;
  /** Default: nothing is counted. */
  readonly metrics?: AgentMetrics;
}

/** How full a subnet is. */
export interface SubnetUsage {
  readonly subnet: Prefix;
  readonly capacity: bigint;
  readonly held: number;
  readonly cooling: number;
}

/** How many releases of a larger number are waited for at once. */
const RELEASES_AT_ONCE = 256;

/** Hands out the addresses of one node. */
export class Allocator {
  readonly #ledger: Ledger<NodePool, PoolChange>;
  readonly #node: string;
  readonly #coolDownMs: number;
  readonly #metrics: AgentMetrics;

  constructor(options: AllocatorOptions) {
    this.#node = options.node;
    this.#coolDownMs = options.coolDownMs;
    this.#metrics = options.metrics ?? NO_METRICS;
    this.#ledger = new Ledger(new AddressModel(options.node, options), options);
  }

  /**
   * Gives an owner one address of each of the node's subnets, or what it holds.
   *
   * @throws {NetError} `not_found` when the node has no subnet, `exhausted`,
   * `already_exists` when a requested address is held by another,
   * `invalid_argument` when it is none that is given out
   */
  async allocate(
    request: AllocationRequest,
    signal?: AbortSignal,
  ): Promise<Pick<AllocationPlan, "allocation" | "created">> {
    const startedAtMs = this.#metrics.clock();
    let outcome: AllocationOutcome = "internal";
    try {
      const given = await this.#allocate(request, signal);
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
    request: AllocationRequest,
    signal: AbortSignal | undefined,
  ): Promise<Pick<AllocationPlan, "allocation" | "created">> {
    const plan = await this.#ledger.submit((pool, nowMs) => {
      const thaw = planThaw(pool, nowMs, this.#coolDownMs);
      for (const change of thaw) pool.apply(change);
      const answer = pool.subnets.length === 0
        ? refuseNoSubnet(this.#node)
        : planAllocation(pool, request, nowMs);
      return {
        kind: "planned",
        answer,
        changes: answer.kind === "refused"
          ? thaw
          : [...thaw, ...answer.changes],
      };
    }, signal);
    if (plan.kind === "refused") throw new NetError(plan.code, plan.message);
    return plan;
  }

  /**
   * Takes back what an owner holds, and returns it; undefined when it held
   * nothing.
   *
   * @param onlyIf decides on the allocation that is held at that moment
   */
  async release(
    owner: Owner,
    reason: ReleaseReason,
    onlyIf: (allocation: Allocation) => boolean = () => true,
  ): Promise<Allocation | undefined> {
    const { cause, text } = typeof reason === "string"
      ? { cause: "requested" as const, text: reason }
      : reason;
    const released = await this.#ledger.submit((pool, nowMs) => {
      const held = pool.get(owner);
      const answer = held && onlyIf(held) ? held : undefined;
      return {
        kind: "planned",
        answer,
        changes: answer
          ? planRelease(pool, owner, { nowMs, reason: text })
          : [],
      };
    });
    if (released) this.#metrics.released(cause);
    return released;
  }

  /** Takes back every allocation that is selected, and returns them. */
  async releaseAll(
    select: (allocation: Allocation) => boolean,
    reason: ReleaseReason,
  ): Promise<Allocation[]> {
    const selected = await this.select(select);
    const released: Allocation[] = [];
    for (let i = 0; i < selected.length; i += RELEASES_AT_ONCE) {
      const answers = await Promise.all(
        selected.slice(i, i + RELEASES_AT_ONCE)
          .map(({ owner }) => this.release(owner, reason, select)),
      );
      released.push(...answers.filter((answer) => answer !== undefined));
    }
    return released;
  }

  /** What an owner holds, undefined when it holds nothing. */
  get(owner: Owner): Promise<Allocation | undefined> {
    return this.#ledger.read((pool) => pool.get(owner));
  }

  /**
   * What is held, in order of address in the first network, from behind an
   * address on.
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

  /** All that is held and selected, in no order. */
  select(
    isSelected: (allocation: Allocation) => boolean,
  ): Promise<Allocation[]> {
    return this.#ledger.read((pool) =>
      pool.values().filter(isSelected).toArray()
    );
  }

  /** How full the node's subnets are; empty when it has none. */
  usage(): Promise<SubnetUsage[]> {
    return this.#ledger.read((pool) =>
      pool.subnets.map((subnetPool) => ({
        subnet: subnetPool.subnet,
        capacity: subnetPool.capacity,
        held: subnetPool.heldCount,
        cooling: subnetPool.coolingCount,
      }))
    );
  }

  /**
   * Runs a function while nothing is given out. It gets how many allocations
   * there are, and the version of the node's pool to check in its own commit.
   */
  exclusive<T>(
    run: (held: number, version: Version | null) => Promise<T>,
  ): Promise<T> {
    return this.#ledger.exclusive((pool, version) => run(pool.size, version));
  }
}

function refuseNoSubnet(node: string): Refusal {
  return refuse(
    "not_found",
    `subnet not found: node "${node}" has none; allocate a subnet to it first`,
  );
}
