import {
  type Address,
  compareAddresses,
  type Family,
} from "../../net/address.ts";
import { gatewayOf, type Prefix } from "../../net/prefix.ts";

/** A node, as far as its paths are concerned. */
export interface ProbedNode {
  readonly name: string;
  readonly subnets: readonly Prefix[];
  /** Its addresses as a next hop. */
  readonly advertised: readonly Address[];
}

/** The ends of probes at one node in one family. */
export interface PathEnds {
  readonly family: Family;
  /** The address of the host. */
  readonly host: Address;
  /** The gateway of its first subnet; undefined without a subnet. */
  readonly gateway: Address | undefined;
}

/** The addresses of a node that probes come from or go to, IPv4 first; none without an advertised address. */
export function pathEnds({ subnets, advertised }: ProbedNode): PathEnds[] {
  return ([4, 6] as const).flatMap((family) => {
    const host = advertised.find((address) => address.family === family);
    const subnet = subnets.find((prefix) => prefix.family === family);
    return host ? [{ family, host, gateway: subnet && gatewayOf(subnet) }] : [];
  });
}

/** All addresses from which a node may send probes. */
export function addressesOf({ subnets, advertised }: ProbedNode): Address[] {
  return [...advertised, ...subnets.map(gatewayOf)];
}

/** Where this host sends probes from, in one family. */
export interface OwnEnd {
  readonly family: Family;
  /** Its gateway's address, or its own where no interface has that. */
  readonly source: Address;
  /** Its own address. */
  readonly host: Address;
  /** Size of the largest packet that containers send (without a bridge: that the host sends), in bytes. */
  readonly mtuBytes: number;
}

/** An interface of this host. */
export interface ProbeLink {
  readonly name: string;
  readonly mtuBytes: number;
  readonly addresses: readonly { readonly address: Address }[];
}

/** The ends of this host that its interfaces have. */
export function ownEnds(
  self: ProbedNode,
  links: readonly ProbeLink[],
): OwnEnd[] {
  const linkOf = (address: Address | undefined) =>
    address &&
    links.find(({ addresses }) =>
      addresses.some((held) => compareAddresses(held.address, address) === 0)
    );
  return pathEnds(self).flatMap(({ family, host, gateway }) => {
    const uplink = linkOf(host);
    if (!uplink || uplink.name === "lo") return [];
    const bridge = linkOf(gateway);
    return [{
      ...{ family, host },
      source: bridge ? gateway! : host,
      mtuBytes: Math.min(
        uplink.mtuBytes,
        bridge?.mtuBytes ?? uplink.mtuBytes,
      ),
    }];
  });
}

/** Bytes of the headers below a probe: IPv4 or IPv6, and UDP (RFC 768, RFC 791, RFC 8200). */
export function headerBytes(family: Family): number {
  return (family === 4 ? 20 : 40) + 8;
}
