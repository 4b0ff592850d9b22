import { getLogger } from "@logtape/logtape";
import type { Allocation } from "../addresses/plan/allocation.ts";
import { NetError } from "../base/error.ts";
import { formatOwner, type Owner } from "../base/names.ts";
import { type Address, formatAddress } from "../net/address.ts";
import { formatPrefix, gatewayOf } from "../net/prefix.ts";
import {
  addressAnswer,
  constantAnswer,
  parseCall,
  poolAnswer,
  type RequestAddress,
} from "./plan/call.ts";
import { interfaceOf } from "./plan/names.ts";
import {
  formatPool,
  planPool,
  type Pool,
  type WantedPool,
} from "./plan/pool.ts";
import type { EndpointAddresses } from "./port.ts";

const log = getLogger(["stellar-net", "agent", "docker"]);

/** Endpoints with one MAC address. */
const MAX_NAMESAKES = 64;
/** Attempts of a release, while others change the allocation. */
const MAX_RELEASES = 64;

/** Options of {@linkcode IpamDriver}. */
export interface IpamDriverOptions {
  readonly addresses: EndpointAddresses;
  readonly randomId: () => string;
  /** Whether Docker has forgotten the endpoint of an allocation. */
  readonly isForgotten: (allocation: Allocation) => Promise<boolean>;
  /** Called after each change that Docker asked for. */
  readonly onChange: (allocation: Allocation) => void;
}

/** An answer to Docker. */
export interface DriverAnswer {
  readonly body: Readonly<Record<string, unknown>>;
  /** Takes the change back when Docker does not get the answer. */
  readonly undo?: () => Promise<void>;
}

/**
 * The IPAM driver of Docker on this node. A PoolID says which subnet it is, so
 * that pools need no records. Each address is an allocation of its own.
 */
export class IpamDriver {
  readonly #options: IpamDriverOptions;
  /**
   * The allocations that Docker asked for, or named again, since it started.
   * Undefined: all, for Docker was there before the agent.
   */
  #named: Set<string> | undefined;

  /** Pools without `--subnet` whose gateway Docker has not requested yet. */
  readonly #offered = new Set<string>();

  constructor(options: IpamDriverOptions) {
    this.#options = options;
  }

  /**
   * Carries out a call.
   *
   * @param path of the request, such as `/IpamDriver.RequestPool`
   * @throws {NetError} naming what Docker asked for, and the way out
   */
  async answer(path: string, body: string): Promise<DriverAnswer> {
    const call = parseCall(path, body);
    switch (call.kind) {
      case "activate":
        // A started Docker names what it has, once.
        this.#named = new Set();
        this.#offered.clear();
        return { body: constantAnswer(call) };
      case "capabilities":
      case "address spaces":
        return { body: constantAnswer(call) };
      case "request pool":
        return { body: poolAnswer(await this.#pool(call.wanted)) };
      case "release pool":
        this.#offered.delete(offerOf(call.pool));
        return { body: {} };
      case "request gateway":
        this.#offered.delete(offerOf(call.pool));
        // The bridge has it; no container ever gets it.
        return { body: addressAnswer(call.pool, gatewayOf(call.pool.subnet)) };
      case "request address":
        return call.isReplay && call.address
          ? await this.#replay(call, call.address)
          : await this.#allocate(call);
      case "release address":
        await this.#release(call.pool, call.address);
        return { body: {} };
    }
  }

  /**
   * Docker asks for another pool, without end, while the host uses the subnet of
   * the one that it got, as it does where the bridge is there already. It
   * checks only subnets that it has not named itself.
   */
  async #pool(wanted: WantedPool): Promise<Pool> {
    const { addresses, randomId } = this.#options;
    const pool = planPool(await addresses.subnets(), wanted, randomId());
    if (wanted.subnet) return pool;
    const offer = offerOf(pool);
    // The next attempt of an operator starts afresh.
    if (!this.#offered.delete(offer)) {
      this.#offered.add(offer);
      return pool;
    }
    const subnet = formatPrefix(pool.subnet);
    throw new NetError(
      "failed_precondition",
      `Cannot choose a subnet for Docker: this node's is ${subnet}, and this host uses it already, on the bridge; give --subnet ${subnet}`,
    );
  }

  /** Gives a new endpoint an address. */
  async #allocate(call: RequestAddress): Promise<DriverAnswer> {
    const { pool, address, macAddress } = call;
    if (address) await this.#releaseForgotten(address);
    const id = this.#options.randomId();
    const allocation = await this.#allocateAs({
      ...{ id, address, macAddress, pool },
      name: macAddress === "" ? id : macAddress,
      isAttached: false,
    });
    return this.#given(pool, allocation, async () => {
      const reason = "Docker did not wait for the answer to its request";
      await this.#releaseHeld(allocation, reason);
    });
  }

  /**
   * Docker names an address that an endpoint has, or that a new network is to
   * keep from its containers.
   */
  async #replay(
    { pool, macAddress }: RequestAddress,
    address: Address,
  ): Promise<DriverAnswer> {
    const { addresses, randomId } = this.#options;
    const held = await addresses.heldAt(address);
    if (!held) {
      const allocation = await this.#allocateAs({
        ...{ id: randomId(), address, macAddress, pool },
        name: formatAddress(address),
        isAttached: true,
      });
      return this.#given(pool, allocation);
    }
    const { docker } = held.attachment ?? {};
    const isNamed = this.#named?.has(held.id) ?? true;
    const endpoint = docker && { ...docker, poolId: formatPool(pool) };
    const attached = endpoint && !isNamed
      ? await addresses.attach(held, endpoint)
      : undefined;
    if (attached) return this.#given(pool, attached);
    throw new NetError(
      "already_exists",
      `Cannot give "${formatAddress(address)}" to network "${pool.network}": ${
        formatOwner(held.owner)
      } holds it`,
    );
  }

  #given(
    pool: Pool,
    allocation: Allocation,
    undo?: () => Promise<void>,
  ): DriverAnswer {
    this.#named?.add(allocation.id);
    this.#options.onChange(allocation);
    const { address } = allocation.addresses[0]!;
    return { body: addressAnswer(pool, address), ...undo && { undo } };
  }

  /** Allocates under the first name that is free: two endpoints may have one MAC address. */
  async #allocateAs(
    { id, name, pool, macAddress, address, isAttached }: {
      readonly id: string;
      readonly name: string;
      readonly pool: Pool;
      readonly macAddress: string;
      readonly address: Address | undefined;
      readonly isAttached: boolean;
    },
  ): Promise<Allocation> {
    const { addresses } = this.#options;
    const docker = { poolId: formatPool(pool), macAddress };
    for (let attempt = 1;; attempt++) {
      const owner: Owner = {
        network: pool.network,
        containerId: attempt === 1 ? name : `${name}~${attempt}`,
        interfaceName: interfaceOf(pool.subnet),
      };
      try {
        return await addresses.allocate({
          ...{ id, owner, docker, address, isAttached },
          within: pool.subnet,
        });
      } catch (error) {
        const isTaken = error instanceof NetError &&
          error.code === "already_exists" &&
          await addresses.get(owner) !== undefined;
        if (!isTaken || attempt === MAX_NAMESAKES) throw error;
      }
    }
  }

  /** A container that was stopped while the agent was down may ask for its address again. */
  async #releaseForgotten(address: Address): Promise<void> {
    const { addresses, isForgotten } = this.#options;
    const held = await addresses.heldAt(address);
    if (!held?.attachment?.docker || !await isForgotten(held)) return;
    await this.#releaseHeld(
      held,
      "Docker has no endpoint with its address, and another one requested it",
    );
  }

  async #release(pool: Pool, address: Address): Promise<void> {
    const { addresses } = this.#options;
    for (let attempt = 1; attempt <= MAX_RELEASES; attempt++) {
      const held = await addresses.heldAt(address);
      if (!held) return;
      if (!await this.#isOf(pool, held)) {
        log.info(
          "Keeping {address} of {owner}: Docker released it for another network, {network}, or still lists it",
          {
            address: formatAddress(address),
            owner: formatOwner(held.owner),
            network: pool.network,
          },
        );
        return;
      }
      // Its owner may get another name meanwhile.
      if (await this.#releaseHeld(held, "Docker released it")) return;
    }
    throw new NetError(
      "unavailable",
      `Cannot release "${
        formatAddress(address)
      }": its allocation changes all the time; the agent releases it when Docker does not list it`,
    );
  }

  /** Whether a pool's release of an address may end an allocation. */
  async #isOf(pool: Pool, held: Allocation): Promise<boolean> {
    const { poolId } = held.attachment?.docker ?? {};
    // The pool of what the agent found in Docker's list is not known.
    return poolId === ""
      ? await this.#options.isForgotten(held)
      : poolId === formatPool(pool);
  }

  async #releaseHeld(held: Allocation, reason: string): Promise<boolean> {
    this.#named?.delete(held.id);
    return await this.#options.addresses.release(held, reason);
  }
}

function offerOf({ network, subnet }: Pool): string {
  return `${network} ${formatPrefix(subnet)}`;
}
