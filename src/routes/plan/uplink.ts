import type { Address, Family } from "../../net/address.ts";
import { containsAddress } from "../../net/prefix.ts";
import type { DefaultRoute, HostLink, LinkAddress } from "./links_json.ts";

/** The interfaces and default routes of this host. */
export interface HostInterfaces {
  readonly links: readonly HostLink[];
  readonly defaultRoutes: readonly DefaultRoute[];
}

/** The interface that holds the default route of a family. */
export interface Uplink {
  readonly family: Family;
  readonly device: string;
  readonly mtuBytes: number;
  /** Its global addresses of the family, permanent ones first. */
  readonly addresses: readonly LinkAddress[];
}

/**
 * The uplink of a family, or undefined without a default route. Of several
 * default routes, the one with the smallest metric counts.
 */
export function uplinkOf(
  { links, defaultRoutes }: HostInterfaces,
  family: Family,
): Uplink | undefined {
  const [route] = defaultRoutes.filter((r) => r.family === family)
    .sort((a, b) => a.metric - b.metric);
  const link = links.find(({ name }) => name === route?.device);
  return link && {
    family,
    device: link.name,
    mtuBytes: link.mtuBytes,
    addresses: link.addresses
      .filter((held) =>
        held.address.family === family && held.scope === "global"
      )
      .sort((a, b) => Number(a.isTransient) - Number(b.isTransient)),
  };
}

/** The uplinks of both families, at most one each. */
export function uplinksOf(interfaces: HostInterfaces): Uplink[] {
  return ([4, 6] as const).flatMap((family) =>
    uplinkOf(interfaces, family) ?? []
  );
}

/**
 * The addresses to advertise when none is given, at most one of each family:
 * the first of its uplink, or where there is none the first of some candidates
 * that this host has.
 */
export function defaultAdvertised(
  interfaces: HostInterfaces,
  candidates: readonly Address[] = [],
): Address[] {
  return ([4, 6] as const).flatMap((family) => {
    const own = uplinkOf(interfaces, family)?.addresses[0]?.address ??
      candidates.find((a) => a.family === family && holds(interfaces, a));
    return own ?? [];
  });
}

/** This host's address in a prefix that contains another address; undefined for none. */
export function addressToward(
  { links }: HostInterfaces,
  other: Address,
): Address | undefined {
  return links.flatMap(({ addresses }) => addresses)
    .find(({ address, prefix }) =>
      address.family === other.family && containsAddress(prefix, other)
    )?.address;
}

export function holds(
  { links }: HostInterfaces,
  { family, value }: Address,
): boolean {
  return links.some(({ addresses }) =>
    addresses.some(({ address }) =>
      address.family === family && address.value === value
    )
  );
}
