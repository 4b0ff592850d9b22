import type { Allocation } from "../addresses/plan/allocation.ts";
import type {
  Attachment,
  DockerEndpoint,
} from "../addresses/plan/attachment.ts";
import type { NeighbourLookup } from "../addresses/neighbours.ts";
import type { Owner } from "../base/names.ts";
import type { EndpointAddresses, EndpointRequest } from "../docker/port.ts";
import type { Address } from "../net/address.ts";
import { containsAddress, type Prefix } from "../net/prefix.ts";
import type { Agent } from "./agent.ts";

/** The addresses of an agent's node, for its IPAM driver for Docker. */
export class DockerAddresses implements EndpointAddresses {
  readonly #agent: Agent;
  readonly #neighbours: Pick<NeighbourLookup, "isInUse">;

  readonly #bootId: string;

  /** @param bootId of this boot of the host */
  constructor(
    agent: Agent,
    { neighbours, bootId }: {
      readonly neighbours: Pick<NeighbourLookup, "isInUse">;
      readonly bootId: string;
    },
  ) {
    this.#agent = agent;
    this.#neighbours = neighbours;
    this.#bootId = bootId;
  }

  async subnets(): Promise<readonly Prefix[]> {
    const known = await this.#subnets();
    if (known.length > 0) return known;
    await this.#agent.member.claim();
    return await this.#subnets();
  }

  async #subnets(): Promise<readonly Prefix[]> {
    const { member, node } = this.#agent;
    const allocator = await member.allocators.find(node);
    return (await allocator?.usage() ?? []).map(({ subnet }) => subnet);
  }

  async allocate(request: EndpointRequest): Promise<Allocation> {
    const { id, owner, docker, within, address, isAttached } = request;
    const { addresses, node } = this.#agent;
    const { allocation } = await addresses.allocate(node, {
      ...{ id, owner, within },
      addresses: address ? [address] : [],
      ...{ attachment: this.#attachment(docker), isAttached },
    });
    return allocation;
  }

  heldAt(address: Address): Promise<Allocation | undefined> {
    const { addresses, node } = this.#agent;
    return addresses.getByAddress(node, address);
  }

  get(owner: Owner): Promise<Allocation | undefined> {
    const { addresses, node } = this.#agent;
    return addresses.get(node, owner);
  }

  list(): Promise<readonly Allocation[]> {
    const { addresses, node } = this.#agent;
    return addresses.list(node, {
      limit: Infinity,
      isListed: ({ attachment }) => attachment?.docker !== undefined,
    });
  }

  attach(
    held: Allocation,
    docker: DockerEndpoint,
    owner: Owner = held.owner,
  ): Promise<Allocation | undefined> {
    const attachment = this.#attachment(docker);
    const next = { ...held, owner, attachment };
    return this.#agent.addresses.amend(held, next);
  }

  #attachment({ poolId, macAddress }: DockerEndpoint): Attachment {
    const docker = { poolId, macAddress };
    return { netns: "", netnsSeen: false, bootId: this.#bootId, docker };
  }

  async release({ owner, id }: Allocation, reason: string): Promise<boolean> {
    const { addresses, node } = this.#agent;
    const released = await addresses.release(node, { owner, id, reason });
    return released !== undefined;
  }

  async isInUse(address: Address): Promise<boolean> {
    const subnets = await this.#subnets();
    const subnet = subnets.find((each) => containsAddress(each, address));
    // What cannot be probed may be in use.
    return subnet === undefined ||
      await this.#neighbours.isInUse(address, subnet);
  }
}
