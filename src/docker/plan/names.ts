import type { Allocation } from "../../addresses/plan/allocation.ts";
import type { DockerEndpoint } from "../../addresses/plan/attachment.ts";
import { type Owner, ownerKey, parseContainerId } from "../../base/names.ts";
import { type Address, formatAddress } from "../../net/address.ts";
import { containsAddress, type Prefix } from "../../net/prefix.ts";
import {
  type DockerNetwork,
  endpointsByAddress,
  type NamedEndpoint,
} from "./networks.ts";

/** What the ledger lacks that Docker has. */
export interface NamePlan {
  /** Allocations whose owner gets the name of its container. */
  readonly rename: readonly {
    readonly held: Allocation;
    readonly owner: Owner;
    readonly docker: DockerEndpoint;
  }[];
  /** Addresses of containers that no allocation has. */
  readonly adopt: readonly {
    readonly address: Address;
    readonly within: Prefix;
    readonly owner: Owner;
    readonly macAddress: string;
  }[];
}

/**
 * Compares the ledger with what Docker has. A name that another owner has is
 * not given twice: the second keeps the name of its MAC address.
 *
 * @param held all allocations that Docker asked for
 */
export function planNames(
  held: readonly Allocation[],
  { networks, subnets }: {
    readonly networks: readonly DockerNetwork[];
    readonly subnets: readonly Prefix[];
  },
): NamePlan {
  const endpoints = endpointsByAddress(networks);
  const names = new Set(held.map(({ owner }) => ownerKey(owner)));
  const rename = [];
  for (const allocation of held) {
    const { address } = allocation.addresses[0]!;
    const text = formatAddress(address);
    const endpoint = endpoints.get(text);
    endpoints.delete(text);
    const docker = allocation.attachment?.docker;
    if (!endpoint || !docker) continue;
    const owner = ownerOf(endpoint);
    const key = ownerKey(owner);
    if (key === ownerKey(allocation.owner) || names.has(key)) continue;
    names.add(key);
    const macAddress = endpoint.macAddress || docker.macAddress;
    rename.push({ held: allocation, owner, docker: { ...docker, macAddress } });
  }
  const adopt = [...endpoints.values()].flatMap((endpoint) => {
    const { address, macAddress } = endpoint;
    const within = subnets.find((each) => containsAddress(each, address));
    if (!within) return [];
    return [{ address, within, owner: ownerOf(endpoint), macAddress }];
  });
  return { rename, adopt };
}

function ownerOf(
  { network, name, macAddress, address }: NamedEndpoint,
): Owner {
  const containerId = [name, macAddress].find(isContainerId) ??
    formatAddress(address);
  return { network, containerId, interfaceName: interfaceOf(address) };
}

/** The interface in the name of an owner: Docker asks for each family by itself. */
export function interfaceOf({ family }: Pick<Address, "family">): string {
  return `ipv${family}`;
}

function isContainerId(text: string): boolean {
  try {
    return parseContainerId(text) === text;
  } catch {
    return false;
  }
}
