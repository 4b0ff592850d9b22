import type { Allocation } from "../addresses/plan/allocation.ts";
import type { DockerEndpoint } from "../addresses/plan/attachment.ts";
import type { Owner } from "../base/names.ts";
import type { Address } from "../net/address.ts";
import type { Prefix } from "../net/prefix.ts";
import type { DockerNetwork } from "./plan/networks.ts";

/** A request for the address of one endpoint. */
export interface EndpointRequest {
  /** Id of the new allocation. */
  readonly id: string;
  readonly owner: Owner;
  readonly docker: DockerEndpoint;
  /** The subnet that the address comes from. */
  readonly within: Prefix;
  /** Undefined: any. */
  readonly address: Address | undefined;
  /** Whether the endpoint uses the address already. */
  readonly isAttached: boolean;
}

/** The addresses of this node, as Docker asks for them. */
export interface EndpointAddresses {
  /**
   * The node's subnets, one of each network. It claims them if it has none.
   *
   * @throws {NetError} when it cannot: it has not joined its cluster
   */
  subnets(): Promise<readonly Prefix[]>;
  /**
   * Gives an endpoint an address.
   *
   * @throws {NetError} `already_exists` when the owner holds an address, or
   * another owner the requested one, and the other errors of an allocation
   */
  allocate(request: EndpointRequest): Promise<Allocation>;
  /** The allocation that has an address, whoever holds it. */
  heldAt(address: Address): Promise<Allocation | undefined>;
  /** The allocation of an owner. */
  get(owner: Owner): Promise<Allocation | undefined>;
  /** All allocations that Docker asked for. */
  list(): Promise<readonly Allocation[]>;
  /**
   * Gives an allocation to the endpoint that has its address, under another
   * name if one is given.
   *
   * @returns undefined when it is not held any more, or the name is taken
   */
  attach(
    held: Allocation,
    docker: DockerEndpoint,
    owner?: Owner,
  ): Promise<Allocation | undefined>;
  /** Releases an allocation. @returns whether its owner held it */
  release(held: Allocation, reason: string): Promise<boolean>;
  /** Whether something on this host answers to an address. */
  isInUse(address: Address): Promise<boolean>;
}

/** Makes and removes networks in Docker. */
export interface DockerControl {
  /** The network of a name; undefined when there is none. @throws {NetError} `unavailable` */
  find(name: string): Promise<DockerNetwork | undefined>;
  /**
   * Makes a network.
   *
   * @param body as Docker's Engine API takes it
   * @throws {NetError} `failed_precondition` with Docker's reason
   */
  create(body: unknown): Promise<void>;
  /** Removes a network. @throws {NetError} `failed_precondition` with Docker's reason */
  remove(id: string): Promise<void>;
}

/** Reads from Docker's own API. */
export interface DockerList {
  /**
   * The networks of this driver, with their endpoints.
   *
   * @throws when Docker does not answer
   */
  networks(): Promise<readonly DockerNetwork[]>;
  /** Some networks, with their endpoints. @throws when Docker does not answer */
  select(
    isWanted: (network: DockerNetwork) => boolean,
  ): Promise<readonly DockerNetwork[]>;
}
