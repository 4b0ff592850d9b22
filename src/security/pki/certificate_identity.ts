import { NetError } from "../../base/error.ts";
import { parseNodeName } from "../../base/names.ts";
import { quote } from "../../net/address.ts";
import { fingerprintOf, parseOnePem } from "./pem.ts";
import {
  type Identity,
  IDENTITY_SCHEME,
  parseIdentityUri,
  type PeerIdentity,
  type Role,
  ROLES,
} from "./identity.ts";
import { AUTHORITY_NAME, BACKDATE_MS, OID, ORGANIZATION } from "./profile.ts";
import {
  addressesOf,
  attributesOf,
  type Certificate,
  readCertificate,
} from "./x509.ts";

const WAY_OUT =
  "give it the subject OU=node, OU=operator or OU=readonly and CN=NAME, or the URI stellar-net://CLUSTER/ROLE/NAME as a subjectAltName";

/**
 * Reads whose certificate it is, from exactly one URI among its alternative
 * names. The subject is for people and is not read. Nothing is verified: TLS
 * and `verifyPeer` do that.
 *
 * @param certificate PEM or DER, such as `getPeerCertificate().raw`
 * @throws {NetError} `unauthenticated`, with the reason
 */
export function readIdentity(certificate: string | Uint8Array): PeerIdentity {
  return readIdentified(certificate).identity;
}

/** As {@linkcode readIdentity}, with the certificate itself. */
export function readIdentified(
  certificate: string | Uint8Array,
): { readonly identity: PeerIdentity; readonly certificate: Certificate } {
  return explain(() => {
    const der = derOf(certificate);
    const decoded = readCertificate(der);
    const uris = identityUris(decoded);
    if (uris.length !== 1) {
      throw new RangeError(
        `it names ${uris.length} URIs that begin with ${IDENTITY_SCHEME}, and has to name one`,
      );
    }
    const identity = { ...parseIdentityUri(uris[0]!), ...facts(der, decoded) };
    return { identity, certificate: decoded };
  });
}

/**
 * Reads whose certificate of an operator's own authority it is: from the URI
 * among its alternative names, or else from its subject, whose organizational
 * unit is the role and whose common name is the name. Without the URI the
 * cluster's id is empty. Nothing is verified: TLS does that.
 *
 * @throws {NetError} `unauthenticated`, with what the certificate needs
 */
export function readGivenIdentity(der: Uint8Array): PeerIdentity {
  return explain(() => {
    const decoded = readCertificate(der);
    return { ...readHolder(decoded), ...facts(der, decoded) };
  });
}

function facts(
  der: Uint8Array,
  certificate: Certificate,
): Omit<PeerIdentity, keyof Identity> {
  const { serial, notBeforeMs, notAfterMs } = certificate;
  const generation = generationOf(certificate);
  return {
    serial,
    fingerprint: fingerprintOf(der),
    issuedAtMs: notBeforeMs + (generation > 0 ? BACKDATE_MS : 0),
    notBeforeMs,
    notAfterMs,
    generation,
    addresses: addressesOf(certificate),
  };
}

/** The generation in the issuer's name; 0 for an authority that is not the cluster's. */
function generationOf({ issuer }: Certificate): number {
  const [organization, ...others] = attributesOf(issuer, OID.organization);
  const [name, ...more] = attributesOf(issuer, OID.commonName);
  if (organization !== ORGANIZATION || others.length + more.length > 0) {
    return 0;
  }
  return Number(AUTHORITY_NAME.exec(name ?? "")?.[1] ?? 0);
}

function identityUris({ alternativeNames }: Certificate): string[] {
  return alternativeNames.filter(({ kind }) => kind === "uri")
    .map(({ value }) => new TextDecoder().decode(value))
    .filter((uri) => uri.startsWith(IDENTITY_SCHEME));
}

function readHolder(certificate: Certificate): Identity {
  const [uri, ...others] = identityUris(certificate);
  if (others.length > 0) {
    throw new RangeError(`it names several of ${quote(uri!)}; leave one`);
  }
  if (uri !== undefined) return parseIdentityUri(uri);
  const { subject } = certificate;
  const units = attributesOf(subject, OID.organizationalUnit);
  const roles = ROLES.filter((role) => units.includes(role));
  const names = attributesOf(subject, OID.commonName);
  const [role] = roles;
  const [name] = names;
  if (role === undefined || roles.length > 1) {
    throw new RangeError(
      `its subject names ${roles.join(" and ") || "no role"}; ${WAY_OUT}`,
    );
  }
  if (name === undefined || names.length > 1) {
    throw new RangeError(
      `its subject has ${names.length} common names; ${WAY_OUT}`,
    );
  }
  return { clusterId: "", role, name: nameOf(name, role) };
}

function nameOf(text: string, role: Role): string {
  try {
    return parseNodeName(text);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new RangeError(`its name as ${role}, ${error.message}; ${WAY_OUT}`);
  }
}

function derOf(certificate: string | Uint8Array): Uint8Array {
  return typeof certificate === "string"
    ? parseOnePem("CERTIFICATE", certificate)
    : certificate;
}

function explain<T>(read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new NetError(
      "unauthenticated",
      `Cannot tell whose certificate it is: ${cause.message}`,
      { cause },
    );
  }
}
