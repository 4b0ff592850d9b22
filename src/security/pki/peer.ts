import { NetError } from "../../base/error.ts";
import { quote } from "../../net/address.ts";
import type { TrustRecord } from "./authority.ts";
import { readIdentified } from "./certificate_identity.ts";
import { fingerprintOf, formatPem, parseOnePem } from "./pem.ts";
import { trustedAt } from "./generations.ts";
import type { PeerIdentity } from "./identity.ts";
import { OID } from "./profile.ts";
import { findRevocation, type RevocationRecord } from "./revocation.ts";
import { type Certificate, isSignedBy, readCertificate } from "./x509.ts";

/** The facts against which a peer's certificate is checked. */
export interface PeerChecks {
  /** The cluster's authorities that this host knows. */
  readonly trust: readonly TrustRecord[];
  readonly clusterId: string;
  /** Whether the peer is the server or the client of the connection. */
  readonly usage: "server" | "client";
  readonly nowMs: number;
  readonly revocations: Iterable<RevocationRecord>;
}

/** The server and the authority that a joining host may trust. */
export interface FirstContact {
  readonly server: PeerIdentity;
  /** The authority's certificate in PEM: TLS takes it as `ca` from now on. */
  readonly authority: string;
}

/** Most certificates of a chain that are read. */
const MAX_CHAIN = 8;

/** The facts about a certificate that are worked out once. */
interface Known {
  readonly identity: PeerIdentity;
  readonly certificate: Certificate;
  /** The authority that signed it, in PEM, once that was verified. */
  signedBy?: string;
}

/** By the bytes that a connection holds: each is checked again and again. */
const known = new WeakMap<Uint8Array, Known>();

/**
 * Verifies a certificate of this cluster as a whole, without relying on TLS:
 * its signature, purpose, cluster, time and revocation.
 *
 * @param certificate PEM or DER
 * @throws {NetError} `unauthenticated`, with the reason
 */
export function verifyPeer(
  certificate: string | Uint8Array,
  checks: PeerChecks,
): PeerIdentity {
  const peer = recall(certificate);
  const { identity } = peer;
  checkIdentity(identity, checks);
  checkUsage(peer, checks.usage);
  const issuer = trustedAt(checks.trust, checks.nowMs)
    .find(({ generation }) => generation === identity.generation);
  if (!issuer) {
    throw refused(
      identity,
      `authority ${identity.generation}, which it names, is not trusted now`,
    );
  }
  if (peer.signedBy === issuer.certificate) return identity;
  if (!isSignedBy(peer.certificate, readCertificate(issuer.certificate))) {
    throw refused(
      identity,
      `authority ${identity.generation} of this cluster has not signed it`,
    );
  }
  peer.signedBy = issuer.certificate;
  return identity;
}

/**
 * Checks what can change while a connection lasts: the time and revocations.
 * That is enough where TLS has verified the chain, as for a certificate of an
 * operator's own authority.
 *
 * @throws {NetError} `unauthenticated`, with the reason
 */
export function checkIdentity(
  identity: PeerIdentity,
  checks: Pick<PeerChecks, "clusterId" | "nowMs" | "revocations">,
): void {
  const { clusterId, nowMs, revocations } = checks;
  if (identity.clusterId !== clusterId) {
    throw refused(
      identity,
      `it is of cluster "${identity.clusterId}", and this is "${clusterId}"`,
    );
  }
  if (nowMs < identity.notBeforeMs) {
    throw refused(
      identity,
      `it is valid from ${timestamp(identity.notBeforeMs)} on, and it is ${
        timestamp(nowMs)
      } here: compare the clocks`,
    );
  }
  if (nowMs >= identity.notAfterMs) {
    throw refused(
      identity,
      `it was valid until ${timestamp(identity.notAfterMs)}`,
    );
  }
  const revocation = findRevocation(revocations, identity);
  if (revocation) {
    const { revokedAtMs, reason } = revocation;
    const why = reason === "" ? "" : `, ${quote(reason)}`;
    throw refused(
      identity,
      `it was revoked at ${timestamp(revokedAtMs)}${why}`,
    );
  }
}

/**
 * Reads whose certificate it is, as `readIdentity` does, and remembers it.
 *
 * @throws {NetError} `unauthenticated`, with the reason
 */
export function identityOf(der: Uint8Array): PeerIdentity {
  return recall(der).identity;
}

/**
 * Decides whether a server belongs to the cluster of a join token, before
 * anything is sent to it: one of its certificates has to be that of the
 * token's authority, and that authority has to have signed the server's own.
 *
 * TLS has verified that the server has the key of its own certificate, as in
 * every handshake; it need not have verified the chain.
 *
 * @param chain DER, as the server sent them: its own first
 * @param checks the fingerprint in the token
 * @throws {NetError} `unauthenticated`, with the reason
 */
export function verifyFirstContact(
  chain: readonly Uint8Array[],
  checks: { readonly fingerprint: string; readonly nowMs: number },
): FirstContact {
  const { fingerprint, nowMs } = checks;
  const [own, ...others] = chain.slice(0, MAX_CHAIN);
  if (!own) throw untrusted("it has sent no certificate");
  const { certificate, authority } = readChain(own, { others, fingerprint });
  if (!authority) {
    throw untrusted(
      `none of its certificates is that of the token's authority, ${fingerprint}: another host answers there, or the authority was rotated since the token was created; make a new token`,
    );
  }
  const root = readCertificate(authority);
  if (!root.isAuthority || !isSignedBy(root, root)) {
    throw untrusted("the authority's certificate is forged");
  }
  if (!isSignedBy(certificate, root)) {
    throw untrusted(
      "the token's authority has not signed its certificate: another host answers there, or the authority was rotated since the token was created; make a new token",
    );
  }
  const { identity: server } = readIdentified(own);
  if (server.role !== "node") {
    throw untrusted(`its certificate has role ${server.role}, not node`);
  }
  const { clusterId } = server;
  checkIdentity(server, { clusterId, nowMs, revocations: [] });
  return { server, authority: formatPem("CERTIFICATE", authority) };
}

function readChain(
  own: Uint8Array,
  { others, fingerprint }: {
    readonly others: readonly Uint8Array[];
    readonly fingerprint: string;
  },
): {
  readonly certificate: Certificate;
  readonly authority: Uint8Array | undefined;
} {
  try {
    const certificate = readCertificate(own);
    const authority = others.find((der) =>
      fingerprintOf(readCertificate(der).publicKey) === fingerprint
    );
    return { certificate, authority };
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw untrusted("one of its certificates cannot be decoded", cause);
  }
}

function recall(certificate: string | Uint8Array): Known {
  const der = typeof certificate === "string"
    ? parseOnePem("CERTIFICATE", certificate)
    : certificate;
  const peer = known.get(der) ?? readIdentified(der);
  known.set(der, peer);
  return peer;
}

function checkUsage(
  { identity, certificate }: Known,
  usage: "server" | "client",
): void {
  const needed = usage === "server" ? OID.serverAuth : OID.clientAuth;
  if (!certificate.purposes.includes(needed)) {
    throw refused(identity, `it is not for a TLS ${usage}`);
  }
  if (certificate.isAuthority) {
    throw refused(identity, "it is that of an authority");
  }
}

function refused(identity: PeerIdentity, what: string): NetError {
  const { role, name } = identity;
  return new NetError(
    "unauthenticated",
    `Cannot accept the certificate of ${role} "${name}": ${what}`,
  );
}

function untrusted(what: string, cause?: unknown): NetError {
  return new NetError(
    "unauthenticated",
    `Cannot trust the server: ${what}`,
    cause === undefined ? {} : { cause },
  );
}

function timestamp(atMs: number): string {
  return new Date(atMs).toISOString();
}
