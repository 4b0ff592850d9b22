import { NetError } from "../base/error.ts";
import { trustedAt } from "./pki/generations.ts";
import { fingerprintOf } from "./pki/pem.ts";
import type { PeerIdentity } from "./pki/identity.ts";
import { identityOf, verifyPeer } from "./pki/peer.ts";
import {
  mergeTrust,
  type SignedTrust,
  type TrustContent,
} from "./pki/signed_trust.ts";
import { readCertificate } from "./pki/x509.ts";

/** The authorities and revocations by which a host verifies certificates. */
export interface Trust extends TrustContent {
  /** The same with signatures, for other hosts. */
  readonly signed?: SignedTrust | undefined;
}

/** Nothing is trusted. */
export const NO_TRUST: Trust = { authorities: [], revocations: [] };

/** The answer of an authority to a request for a certificate. */
export interface Credentials {
  /** PEM: the certificate, then its authority's. */
  readonly chain: string;
  readonly trust: Trust;
}

/**
 * The trust after another host has offered its own. Without signatures, from an
 * agent of an earlier version, it stays as it is.
 *
 * @throws {NetError} `unauthenticated` when no authority that is trusted has
 * signed the offer
 */
export function updateTrust(
  known: Trust,
  { signed }: Trust,
  nowMs: number,
): Trust {
  return signed ? mergeTrust(known, signed, { nowMs }) : known;
}

/**
 * The first trust of a host that joins with a token.
 *
 * @param fingerprint of the authority in the token
 * @throws {NetError} `unauthenticated` when that authority has not signed the offer
 */
export function firstTrust(
  { authorities, signed }: Trust,
  { fingerprint, nowMs }: {
    readonly fingerprint: string;
    readonly nowMs: number;
  },
): Trust {
  if (signed) return mergeTrust(NO_TRUST, signed, { fingerprint, nowMs });
  // An agent of an earlier version signs nothing: only the token counts.
  const own = authorities.filter(({ certificate }) =>
    fingerprintOf(readCertificate(certificate).publicKey) === fingerprint
  );
  if (own.length > 0) return { authorities: own, revocations: [] };
  throw new NetError(
    "unauthenticated",
    "Cannot use the answer of the registry: the authority of the token is not trusted there",
  );
}

/** Grace period in which an expired certificate of a node can be renewed, in ms. */
const RENEWABLE_MS = 30 * 24 * 3600_000;

/** The peer of a connection. */
export type PeerRecognition =
  | { readonly kind: "member"; readonly identity: PeerIdentity }
  | {
    readonly kind: "refused";
    readonly why: string;
    readonly expired?: PeerIdentity;
  };

/** Verifies the certificate of a peer, without relying on TLS. */
export function recognizePeer(
  { der, usage }: {
    readonly der: Uint8Array;
    readonly usage: "client" | "server";
  },
  { trust, nowMs }: { readonly trust: Trust; readonly nowMs: number },
): PeerRecognition {
  const { authorities, revocations } = trust;
  const clusterId = authorities.at(-1)?.clusterId;
  if (clusterId === undefined) {
    return {
      kind: "refused",
      why:
        "Cannot tell whose certificate it is: this host has joined no cluster yet",
    };
  }
  const checks = { trust: authorities, clusterId, usage, revocations };
  try {
    const identity = verifyPeer(der, { ...checks, nowMs });
    if (usage === "client" || identity.role === "node") {
      return { kind: "member", identity };
    }
    throw new NetError(
      "unauthenticated",
      `Cannot accept ${identity.role} "${identity.name}" as an agent: a node's certificate is asked for`,
    );
  } catch (error) {
    if (!(error instanceof NetError)) throw error;
    // A certificate of an authority that is no longer trusted cannot be renewed.
    const trusted = trustedAt(authorities, nowMs);
    const expired = usage === "client" &&
      findEnded(
        der,
        nowMs,
        (atMs) => verifyPeer(der, { ...checks, trust: trusted, nowMs: atMs }),
      );
    return {
      kind: "refused",
      why: error.message,
      ...expired ? { expired } : {},
    };
  }
}

/** The holder of a node's certificate that was valid until it expired a while ago. */
function findEnded(
  der: Uint8Array,
  nowMs: number,
  verify: (atMs: number) => PeerIdentity,
): PeerIdentity | undefined {
  try {
    const { role, notAfterMs } = identityOf(der);
    const isRenewable = role === "node" && notAfterMs <= nowMs &&
      nowMs - notAfterMs <= RENEWABLE_MS;
    return isRenewable ? verify(notAfterMs - 1) : undefined;
  } catch (error) {
    if (!(error instanceof NetError)) throw error;
    return undefined;
  }
}
