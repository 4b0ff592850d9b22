import { NetError } from "../base/error.ts";
import { trustedAt } from "./pki/generations.ts";
import type { PeerIdentity } from "./pki/identity.ts";
import { identityOf, verifyPeer } from "./pki/peer.ts";
import type { Trust } from "./trust.ts";

/** How long after its end a node's certificate may still be renewed. */
export const RENEWABLE_MS = 30 * 24 * 3600_000;

/** Who is at the other end of a connection, as rpc's port has it. */
export type PeerRecognition =
  | { readonly kind: "member"; readonly identity: PeerIdentity }
  | {
    readonly kind: "refused";
    readonly why: string;
    readonly expired?: PeerIdentity;
  };

/** Tells who has shown a certificate of this cluster. It leans on nothing that TLS has found. */
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
    // Those whose authority is not trusted now have to come in anew.
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

/** Who a node's certificate names that has ended a short while ago, and was good until then. */
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
