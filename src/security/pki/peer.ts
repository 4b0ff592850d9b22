import { BasicConstraints, type Certificate, ExtKeyUsage } from "pkijs";
import { NetError } from "../../base/error.ts";
import { quote } from "../../net/address.ts";
import type { TrustRecord } from "./authority.ts";
import { toDer } from "./certificate_parts.ts";
import { decodeCertificate } from "./decode.ts";
import { fingerprintOf } from "./fingerprint.ts";
import { trustedAt } from "./generations.ts";
import { readCertificate } from "./certificate_identity.ts";
import type { PeerIdentity } from "./identity.ts";
import { OID } from "./oid.ts";
import { findRevocation, type RevocationRecord } from "./revocation.ts";
import { isSignedWith } from "./signature.ts";

/** Against what a peer's certificate is held. */
export interface PeerChecks {
  /** The cluster's authorities, as far as this host knows them. */
  readonly trust: readonly TrustRecord[];
  readonly clusterId: string;
  /** As what the peer authenticates itself. */
  readonly usage: "server" | "client";
  readonly nowMs: number;
  readonly revocations: Iterable<RevocationRecord>;
}

/**
 * Verifies a certificate of this cluster as a whole, without leaning on TLS:
 * who signed it, for what, for which cluster, whether it is in time and not
 * revoked. Good for each connection, and again for those that last.
 *
 * @param certificate PEM or DER
 * @throws {NetError} `unauthenticated`, saying what is wrong
 */
export function verifyPeer(
  certificate: string | Uint8Array,
  checks: PeerChecks,
): PeerIdentity {
  const der = typeof certificate === "string"
    ? new Uint8Array(toDer(readCertificate(certificate).decoded))
    : certificate;
  const shown = findShown(der);
  const { identity } = shown;
  checkIdentity(identity, checks);
  checkUsage(shown, checks.usage);
  const issuer = trustedAt(checks.trust, checks.nowMs)
    .find(({ generation }) => generation === identity.generation);
  if (!issuer) {
    throw refused(
      identity,
      `authority ${identity.generation}, which it names, is not trusted now`,
    );
  }
  if (shown.signedBy !== issuer.certificate) {
    const { decoded } = readCertificate(der);
    if (!isSignedBy(decoded, issuerOf(issuer))) {
      throw refused(
        identity,
        `authority ${identity.generation} of this cluster has not signed it`,
      );
    }
    shown.signedBy = issuer.certificate;
  }
  return identity;
}

/**
 * Checks what may change while a connection lasts: the time, and what has
 * been revoked. Enough where TLS has verified the chain, as it has for a
 * certificate of an operator's own authority.
 *
 * @throws {NetError} `unauthenticated`, saying what is wrong
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

/** Whether an authority signed a certificate. */
export function isSignedBy(
  certificate: Certificate,
  issuer: Certificate,
): boolean {
  return certificate.issuer.isEqual(issuer.subject) &&
    isSignedWith(certificate, issuer.subjectPublicKeyInfo);
}

/** Whether a certificate may sign others. */
export function isAuthority(certificate: Certificate): boolean {
  return (certificate.extensions ?? []).some(({ extnID, parsedValue }) =>
    extnID === OID.basicConstraints &&
    parsedValue instanceof BasicConstraints && parsedValue.cA
  );
}

/**
 * Who a certificate says that its holder is, as {@linkcode readCertificate}
 * does, for who asks again and again.
 *
 * @throws {NetError} `unauthenticated`, saying what is wrong
 */
export function identityOf(der: Uint8Array): PeerIdentity {
  return findShown(der).identity;
}

/** The certificates of authorities, which are looked at with each peer's. */
const issuers = new WeakMap<TrustRecord, Certificate>();

function issuerOf(record: TrustRecord): Certificate {
  const known = issuers.get(record) ?? decodeCertificate(record.certificate);
  issuers.set(record, known);
  return known;
}

/** What does not change about a certificate: to decode it takes some milliseconds. */
interface Shown {
  readonly identity: PeerIdentity;
  readonly purposes: readonly string[];
  readonly isAuthority: boolean;
  /** The authority that was found to have signed it, in PEM. */
  signedBy?: string;
}

/** Most certificates that are remembered. */
const MAX_SHOWN = 8192;
/** By the digest of the DER, the one that was looked at last behind the others. */
const remembered = new Map<string, Shown>();

function findShown(der: Uint8Array): Shown {
  const digest = fingerprintOf(der);
  const shown = remembered.get(digest) ?? readShown(der);
  remembered.delete(digest);
  remembered.set(digest, shown);
  for (const oldest of remembered.keys()) {
    if (remembered.size <= MAX_SHOWN) break;
    remembered.delete(oldest);
  }
  return shown;
}

function readShown(der: Uint8Array): Shown {
  const { identity, decoded } = readCertificate(der);
  return {
    identity,
    purposes: (decoded.extensions ?? []).flatMap(({ parsedValue }) =>
      parsedValue instanceof ExtKeyUsage ? parsedValue.keyPurposes : []
    ),
    isAuthority: isAuthority(decoded),
  };
}

function checkUsage(
  { identity, purposes, isAuthority }: Shown,
  usage: "server" | "client",
): void {
  const needed = usage === "server" ? OID.serverAuth : OID.clientAuth;
  if (!purposes.includes(needed)) {
    throw refused(identity, `it is not for a TLS ${usage}`);
  }
  if (isAuthority) throw refused(identity, "it is that of an authority");
}

function refused(identity: PeerIdentity, what: string): NetError {
  const { role, name } = identity;
  return new NetError(
    "unauthenticated",
    `Cannot accept the certificate of ${role} "${name}": ${what}`,
  );
}

function timestamp(atMs: number): string {
  return new Date(atMs).toISOString();
}
