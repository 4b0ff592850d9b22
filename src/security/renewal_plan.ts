import { type Address, formatAddress } from "../net/address.ts";
import { renewalTimeMs } from "./pki/profile.ts";
import type { PeerIdentity } from "./pki/identity.ts";
import type { TrustRecord } from "./pki/authority.ts";

/** Longest time over which hosts spread their renewals after a rotation, in ms. */
const MAX_SPREAD_MS = 10 * 60_000;
/** The part of the time for which the authority before is still trusted. */
const SPREAD_SHARE = 1 / 10;

/** What decides when a certificate is renewed. */
export interface RenewalFacts {
  readonly certificate: {
    readonly identity: PeerIdentity;
    readonly addresses: readonly Address[];
  };
  readonly authorities: readonly TrustRecord[];
  /** The addresses that it is to be for. */
  readonly addresses: readonly Address[];
  /** 0 to 1: hosts do not come together. */
  readonly jitter: number;
}

/**
 * When a certificate is renewed, in ms since 1970: at once when it is for other
 * addresses than it is to be, or its authority is not trusted; soon after a later authority begins to sign; and
 * in its time.
 */
export function renewalDueMs(facts: RenewalFacts): number {
  const { certificate, authorities, addresses, jitter } = facts;
  const { identity } = certificate;
  if (!isSame(certificate.addresses, addresses)) return 0;
  const own = authorities.find(({ generation, clusterId }) =>
    generation === identity.generation && clusterId === identity.clusterId
  );
  if (!own) return 0;
  const rotations = authorities
    .filter(({ generation }) => generation > identity.generation)
    .map(({ signsFromMs }) => {
      const leftMs = Math.max(0, own.trustedUntilMs - signsFromMs);
      const spreadMs = Math.min(MAX_SPREAD_MS, leftMs * SPREAD_SHARE);
      return signsFromMs + jitter * spreadMs;
    });
  return Math.min(renewalTimeMs(identity, jitter), ...rotations);
}

function isSame(a: readonly Address[], b: readonly Address[]): boolean {
  return textOf(a) === textOf(b);
}

function textOf(addresses: readonly Address[]): string {
  return [...new Set(addresses.map(formatAddress))].sort().join(" ");
}
