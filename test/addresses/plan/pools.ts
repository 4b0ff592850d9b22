import type { Owner } from "../../../src/base/names.ts";
import { NodePool } from "../../../src/addresses/plan/node_pool.ts";
import { SubnetPool } from "../../../src/addresses/plan/subnet_pool.ts";
import {
  planAllocation,
  planRelease,
  planThaw,
} from "../../../src/addresses/plan/allocation_plan.ts";
import { formatAddress, parseAddress } from "../../../src/net/address.ts";
import { parsePrefix } from "../../../src/net/prefix.ts";

/** An owner by its container's id. */
export function owner(containerId: string, interfaceName = "eth0"): Owner {
  return { network: "default", containerId, interfaceName };
}

/** A node's addresses as a caller sees them: texts in, texts out. */
export class Addresses {
  readonly pool: NodePool;
  readonly #coolDownMs: number;

  constructor(subnets: readonly string[], coolDownMs = 0) {
    this.pool = new NodePool(
      subnets.map((cidr) => new SubnetPool(parsePrefix(cidr))),
    );
    this.#coolDownMs = coolDownMs;
  }

  /** The addresses that an owner gets, or the refusal's message. */
  allocate(
    containerId: string,
    options: { addresses?: readonly string[]; nowMs?: number } = {},
  ): string {
    const nowMs = options.nowMs ?? 0;
    for (const change of planThaw(this.pool, nowMs, this.#coolDownMs)) {
      this.pool.apply(change);
    }
    const plan = planAllocation(this.pool, {
      id: containerId,
      owner: owner(containerId),
      addresses: (options.addresses ?? []).map(parseAddress),
    }, nowMs);
    if (plan.kind === "holder changed") return plan.kind;
    if (plan.kind === "refused") return `${plan.code}: ${plan.message}`;
    for (const change of plan.changes) this.pool.apply(change);
    return plan.allocation.addresses.map((a) => formatAddress(a.address))
      .join(" ");
  }

  /** Releases what an owner holds. */
  release(containerId: string, nowMs = 0): void {
    const release = { nowMs, reason: "test" };
    for (const change of planRelease(this.pool, owner(containerId), release)) {
      this.pool.apply(change);
    }
  }

  /** What the next owners get, one after the other. */
  walk(count: number): string[] {
    return Array.from({ length: count }, (_, i) => this.allocate(`walk${i}`));
  }
}
