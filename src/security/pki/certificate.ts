import {
  type Address,
  compareAddresses,
  formatAddress,
  quote,
} from "../../net/address.ts";
import type { Authority } from "./authority.ts";
import { formatIdentityUri, type Role } from "./identity.ts";
import { formatPem } from "./pem.ts";
import {
  BACKDATE_MS,
  CERTIFICATE_LIFETIME_MS,
  OID,
  ORGANIZATION,
} from "./profile.ts";
import type { SigningRequest } from "./signing_request.ts";
import {
  randomSerial,
  readCertificate,
  writeCertificate,
  writeName,
} from "./x509.ts";

/** The holder of a key, as a certificate names it: the authority decides it, never the request. */
export interface CertificateTerms {
  readonly role: Role;
  readonly name: string;
  /** The addresses of a node's server. Only nodes are servers. */
  readonly addresses: readonly Address[];
  /** More host names of a node's server; its own name is added if it is a host name. */
  readonly dnsNames: readonly string[];
  readonly nowMs: number;
  /** Default {@linkcode CERTIFICATE_LIFETIME_MS}. No certificate outlives its authority. */
  readonly lifetimeMs?: number;
}

/** The record of an issued certificate. */
export interface IssuedRecord {
  /** Hexadecimal in lower case. */
  readonly serial: string;
  readonly role: Role;
  readonly name: string;
  /** The fingerprint of its public key. */
  readonly keyFingerprint: string;
  readonly generation: number;
  readonly issuedAtMs: number;
  readonly notAfterMs: number;
}

/** A new certificate. */
export interface IssuedCertificate {
  /** PEM: the certificate, then its authority's, where a joining host finds it. */
  readonly chain: string;
  readonly record: IssuedRecord;
}

/** Most addresses and host names in one certificate. */
const MAX_NAMES = 64;
/** Longest common name (RFC 5280, appendix A.1, `ub-common-name`). */
const MAX_COMMON_NAME = 64;
const HOST_NAME =
  /^(?=.{1,253}$)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$/;
/** A host name never looks like an IPv4 address. */
const NUMERIC_LABEL = /(?:^|\.)\d+$/;

/**
 * Signs a certificate for the key of a request.
 *
 * @throws {RangeError} when a name is not valid, there are too many, or the
 * authority is not trusted any more
 */
export function issueCertificate(
  authority: Authority,
  options: CertificateTerms & { readonly request: SigningRequest },
): IssuedCertificate {
  const { request, role, name, nowMs } = options;
  const { lifetimeMs = CERTIFICATE_LIFETIME_MS } = options;
  const { clusterId, generation, certificate: root } = authority.record;
  const uri = formatIdentityUri({ clusterId, role, name });
  const issuer = authority.certificate;
  const notAfterMs = Math.min(
    nowMs + lifetimeMs,
    authority.record.trustedUntilMs,
    issuer.notAfterMs,
  );
  if (notAfterMs <= nowMs) {
    throw new RangeError(
      `Cannot sign a certificate: authority ${generation} is trusted until ${
        new Date(notAfterMs).toISOString()
      }`,
    );
  }
  const serial = randomSerial();
  const der = writeCertificate({
    serial,
    issuer: issuer.subject.der,
    subject: writeName({
      organization: ORGANIZATION,
      unit: role,
      commonName: name.length <= MAX_COMMON_NAME ? name : "",
    }),
    notBeforeMs: nowMs - BACKDATE_MS,
    notAfterMs,
    publicKey: request.publicKey,
    issuerKey: issuer.publicKey,
    use: {
      purposes: role === "node"
        ? [OID.serverAuth, OID.clientAuth]
        : [OID.clientAuth],
      uri,
      ...serverNames(options),
    },
  }, authority.signer);
  return {
    chain: formatPem("CERTIFICATE", der) + root,
    record: {
      serial: serial.toHex(),
      role,
      name,
      keyFingerprint: request.keyFingerprint,
      generation,
      issuedAtMs: nowMs,
      notAfterMs: readCertificate(der).notAfterMs,
    },
  };
}

/** Whether a text is a host name to TLS. Not every name of a node is. */
export function isHostName(text: string): boolean {
  return HOST_NAME.test(text) && !NUMERIC_LABEL.test(text);
}

function serverNames(
  terms: CertificateTerms,
): {
  readonly dnsNames: readonly string[];
  readonly addresses: readonly Address[];
} {
  const { role, name, addresses, dnsNames } = terms;
  const count = addresses.length + dnsNames.length;
  if (role !== "node") {
    if (count === 0) return { dnsNames, addresses };
    throw new RangeError(
      `Cannot sign a certificate for ${role} "${name}" with addresses: only nodes are servers`,
    );
  }
  if (count > MAX_NAMES) {
    throw new RangeError(
      `Cannot sign a certificate for ${count} addresses and host names: ${MAX_NAMES} are the most`,
    );
  }
  const bad = dnsNames.find((dnsName) => !isHostName(dnsName));
  if (bad !== undefined) {
    throw new RangeError(`${quote(bad)} is not a host name`);
  }
  // Every host is "localhost" for itself.
  const isLocal = /(?:^|\.)localhost$/i.test(name);
  const own = isHostName(name) && !isLocal ? [name] : [];
  const unique = new Map(addresses.map((a) => [formatAddress(a), a]));
  return {
    dnsNames: [...new Set([...own, ...dnsNames])],
    addresses: [...unique.values()].sort(compareAddresses),
  };
}
