import type { Address, Family } from "../net/address.ts";
import type { DefaultRoute, HostLink, LinkAddress } from "./host_json.ts";

/** The interfaces of this host and its ways out. */
export interface HostInterfaces {
  readonly links: readonly HostLink[];
  readonly defaultRoutes: readonly DefaultRoute[];
}

/** The interface that holds the default route of a family. */
export interface Uplink {
  readonly family: Family;
  readonly device: string;
  readonly mtuBytes: number;
  /** Its addresses of the family that other hosts can reach, the lasting ones first. */
  readonly addresses: readonly LinkAddress[];
}

/**
 * The uplink of a family, or undefined when there is no default route. Of
 * several default routes the one with the smallest metric counts.
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

/** The uplinks of both families: none, one or two. */
export function uplinksOf(interfaces: HostInterfaces): Uplink[] {
  return ([4, 6] as const).flatMap((family) =>
    uplinkOf(interfaces, family) ?? []
  );
}

/**
 * The addresses to advertise when none is given: of each family the first of
 * its uplink.
 */
export function defaultAdvertised(interfaces: HostInterfaces): Address[] {
  return uplinksOf(interfaces).flatMap(({ addresses }) =>
    addresses[0]?.address ?? []
  );
}
