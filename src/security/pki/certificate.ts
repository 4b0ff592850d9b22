import {
  type Address,
  compareAddresses,
  formatAddress,
  quote,
} from "../../net/address.ts";
import type { Authority } from "./authority.ts";
import { BACKDATE_MS, ORGANIZATION } from "./authority_name.ts";
import {
  createName,
  randomSerial,
  signCertificate,
  toDer,
} from "./certificate_parts.ts";
import {
  endEntityExtensions,
  keyIdExtensions,
  subjectAltName,
} from "./extensions.ts";
import { formatIdentityUri, type Role } from "./identity.ts";
import { CERTIFICATE_LIFETIME_MS } from "./lifetimes.ts";
import { OID } from "./oid.ts";
import { formatPem } from "./pem.ts";
import type { SigningRequest } from "./signing_request.ts";

/** What the authority says of the holder of a key: its decision, never the request's. */
export interface CertificateTerms {
  readonly role: Role;
  readonly name: string;
  /** The addresses that a node's server is reached at. Only nodes are servers. */
  readonly addresses: readonly Address[];
  /** Further host names of a node's server; its own name is added where it is a host name. */
  readonly dnsNames: readonly string[];
  readonly nowMs: number;
  /** Default {@linkcode CERTIFICATE_LIFETIME_MS}. It never outlives its authority. */
  readonly lifetimeMs?: number;
}

/** What is kept of a certificate that was issued. */
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
  /** PEM: the certificate, then its authority's, so that a newcomer finds that. */
  readonly chain: string;
  readonly record: IssuedRecord;
}

/** Most addresses and host names in one certificate. */
const MAX_NAMES = 64;
/** Longest common name (RFC 5280, appendix A.1, `ub-common-name`). */
const MAX_COMMON_NAME = 64;
const HOST_NAME =
  /^(?=.{1,253}$)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$/;
/** What looks like an IPv4 address is none as a host name. */
const NUMERIC_LABEL = /(?:^|\.)\d+$/;

/**
 * Signs a certificate for the key of a request.
 *
 * @throws {RangeError} when a name is not valid, there are too many, or the
 * authority does not last any more
 */
export async function issueCertificate(
  authority: Authority,
  options: CertificateTerms & { readonly request: SigningRequest },
): Promise<IssuedCertificate> {
  const { request, role, name, nowMs } = options;
  const { lifetimeMs = CERTIFICATE_LIFETIME_MS } = options;
  const { clusterId, generation, certificate: root } = authority.record;
  const uri = formatIdentityUri({ clusterId, role, name });
  const issuer = authority.certificate;
  const notAfterMs = Math.min(
    nowMs + lifetimeMs,
    authority.record.trustedUntilMs,
    issuer.notAfter.value.getTime(),
  );
  if (notAfterMs <= nowMs) {
    throw new RangeError(
      `Cannot sign a certificate: authority ${generation} is trusted until ${
        new Date(notAfterMs).toISOString()
      }`,
    );
  }
  const serial = randomSerial();
  const signed = await signCertificate({
    serial,
    issuer: issuer.subject,
    subject: createName({
      organization: ORGANIZATION,
      unit: role,
      commonName: name.length <= MAX_COMMON_NAME ? name : "",
    }),
    notBeforeMs: nowMs - BACKDATE_MS,
    notAfterMs,
    publicKey: request.publicKey,
    extensions: [
      ...endEntityExtensions(
        role === "node" ? [OID.serverAuth, OID.clientAuth] : [OID.clientAuth],
      ),
      ...keyIdExtensions(request.publicKey, issuer.subjectPublicKeyInfo),
      subjectAltName({ uri, ...serverNames(options) }),
    ],
  }, authority.key);
  return {
    chain: formatPem("CERTIFICATE", toDer(signed)) + root,
    record: {
      serial: serial.toHex(),
      role,
      name,
      keyFingerprint: request.keyFingerprint,
      generation,
      issuedAtMs: nowMs,
      notAfterMs: signed.notAfter.value.getTime(),
    },
  };
}

/** Whether TLS knows a text as the name of a host. Names of nodes may be more than that. */
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
    throw new RangeError(`${quote(bad)} is no host name`);
  }
  const own = isHostName(name) ? [name] : [];
  const unique = new Map(addresses.map((a) => [formatAddress(a), a]));
  return {
    dnsNames: [...new Set([...own, ...dnsNames])],
    addresses: [...unique.values()].sort(compareAddresses),
  };
}
