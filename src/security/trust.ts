import { NetError } from "../base/error.ts";
import type { TrustRecord } from "./pki/authority.ts";
import { trustedAt } from "./pki/generations.ts";
import type { PeerIdentity } from "./pki/identity.ts";
import { identityOf, verifyPeer } from "./pki/peer.ts";
import type { RevocationRecord } from "./pki/revocation.ts";

/** What a host of the cluster verifies certificates with. */
export interface Trust {
  /** The trusted authorities, including a next one that does not sign yet; the oldest first. */
  readonly authorities: readonly TrustRecord[];
  readonly revocations: readonly RevocationRecord[];
}

/** The answer of an authority to a request for a certificate. */
export interface Credentials {
  /** PEM: the certificate, then its authority's. */
  readonly chain: string;
  readonly trust: Trust;
}

/** Grace period in which an expired certificate of a node can be renewed, in ms. */
export const RENEWABLE_MS = 30 * 24 * 3600_000;

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
