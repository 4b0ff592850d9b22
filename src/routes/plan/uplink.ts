import type { Address, Family } from "../../net/address.ts";
import type { DefaultRoute, HostLink, LinkAddress } from "./ip_json.ts";

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
      .sort((a, b) => rank(a) - rank(b)),
  };
}

/** The uplinks of both families, at most one each. */
export function uplinksOf(interfaces: HostInterfaces): Uplink[] {
  return ([4, 6] as const).flatMap((family) =>
    uplinkOf(interfaces, family) ?? []
  );
}

/** The addresses that an agent can advertise, by their preference. */
export interface AdvertisedCandidates {
  /** Those that it has advertised before. */
  readonly previous: readonly Address[];
  /** Those from which the kernel sends to the registry. */
  readonly towardRegistry: readonly Address[];
  /** Those on which it listens. */
  readonly listening: readonly Address[];
}

/**
 * The addresses to advertise without `--advertise`, at most one of each family.
 * The previous address stays as long as the host has it: then come the one
 * towards the registry, one on which the agent listens, and that of the default
 * route's interface. Never a floating or a transient address.
 */
export function chooseAdvertised(
  interfaces: HostInterfaces,
  { previous, towardRegistry, listening }: AdvertisedCandidates,
): Address[] {
  return ([4, 6] as const).flatMap((family) => {
    const uplink = uplinkOf(interfaces, family)?.addresses ?? [];
    const candidates = [...previous, ...towardRegistry, ...listening]
      .concat(uplink.map(({ address }) => address));
    const found = candidates.find((address) =>
      address.family === family && mayAdvertise(interfaces, address)
    );
    return found ?? [];
  });
}

function mayAdvertise(
  { links }: HostInterfaces,
  { family, value }: Address,
): boolean {
  return links.some(({ addresses }) =>
    addresses.some((held) =>
      held.address.family === family && held.address.value === value &&
      held.scope === "global" && !held.isTransient &&
      !isFloating(held, addresses)
    )
  );
}

/** Whether an address looks like one that moves between hosts: a /32 beside a wider prefix. */
function isFloating(
  { prefix }: LinkAddress,
  beside: readonly LinkAddress[],
): boolean {
  return prefix.family === 4 && prefix.length === 32 &&
    beside.some((other) =>
      other.prefix.family === 4 && other.prefix.length < 32 &&
      other.scope === "global"
    );
}

/** Permanent addresses first, and the main one of each prefix. */
function rank({ isTransient, isSecondary = false }: LinkAddress): number {
  return Number(isTransient) * 2 + Number(isSecondary);
}

/** Whether this host has an address. */
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
