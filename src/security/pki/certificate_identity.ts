import { AltName, type Certificate, type GeneralName } from "pkijs";
import { NetError } from "../../base/error.ts";
import { AUTHORITY_NAME, BACKDATE_MS, ORGANIZATION } from "./authority_name.ts";
import { decodeCertificate } from "./decode.ts";
import { fingerprintOf } from "./fingerprint.ts";
import {
  type Identity,
  IDENTITY_SCHEME,
  parseIdentityUri,
  type PeerIdentity,
} from "./identity.ts";
import { OID } from "./oid.ts";
import { parseOnePem } from "./pem.ts";

const URI_NAME = 6;

/**
 * Reads who a certificate says that its holder is. Nothing is verified: that
 * is for TLS, which has checked the chain, and for `verifyPeer`.
 *
 * The identity stands in exactly one URI of the subject's alternative names;
 * the subject is for people and is not read.
 *
 * @param certificate PEM or DER, such as `getPeerCertificate().raw`
 * @throws {NetError} `unauthenticated`, saying what is wrong
 */
export function readIdentity(certificate: string | Uint8Array): PeerIdentity {
  return readCertificate(certificate).identity;
}

/** As {@linkcode readIdentity}, with the certificate itself. */
export function readCertificate(
  certificate: string | Uint8Array,
): { readonly identity: PeerIdentity; readonly decoded: Certificate } {
  try {
    const der = typeof certificate === "string"
      ? parseOnePem("CERTIFICATE", certificate)
      : certificate;
    const decoded = decodeCertificate(der);
    const identity = {
      ...parseIdentityUri(identityUri(decoded)),
      ...readFacts(der, decoded),
    };
    return { identity, decoded };
  } catch (cause) {
    const what = cause instanceof Error ? cause.message : String(cause);
    throw new NetError(
      "unauthenticated",
      `Cannot tell whose certificate it is: ${what}`,
      { cause },
    );
  }
}

/** What a certificate says apart from who its holder is. Nothing is verified. */
export function readFacts(
  der: Uint8Array,
  decoded: Certificate,
): Omit<PeerIdentity, keyof Identity> {
  const generation = generationOf(decoded);
  const notBeforeMs = decoded.notBefore.value.getTime();
  return {
    serial: new Uint8Array(decoded.serialNumber.valueBlock.valueHexView)
      .toHex(),
    fingerprint: fingerprintOf(der),
    issuedAtMs: notBeforeMs + (generation > 0 ? BACKDATE_MS : 0),
    notBeforeMs,
    notAfterMs: decoded.notAfter.value.getTime(),
    generation,
  };
}

/** The URIs of ours among a certificate's names. @throws {RangeError} when those cannot be read */
export function identityUris(certificate: Certificate): string[] {
  return alternativeNames(certificate)
    .filter(({ type }) => type === URI_NAME)
    .map(({ value }) => String(value))
    .filter((uri) => uri.startsWith(IDENTITY_SCHEME));
}

function identityUri(certificate: Certificate): string {
  const uris = identityUris(certificate);
  if (uris.length === 1) return uris[0]!;
  throw new RangeError(
    `it names ${uris.length} URIs that begin with ${IDENTITY_SCHEME}, and has to name one`,
  );
}

/** The names of a certificate beside its subject. @throws {RangeError} when they cannot be read */
export function alternativeNames(
  certificate: Certificate,
): readonly GeneralName[] {
  const found = (certificate.extensions ?? [])
    .filter(({ extnID }) => extnID === OID.subjectAltName);
  if (found.length > 1) {
    throw new RangeError("it has several extensions of alternative names");
  }
  const value = found[0]?.parsedValue;
  if (found.length === 1 && !(value instanceof AltName)) {
    throw new RangeError("its alternative names cannot be decoded");
  }
  return value instanceof AltName ? value.altNames : [];
}

/** The generation in the issuer's name. What TLS accepted carries the name of who signed it. */
function generationOf(certificate: Certificate): number {
  const parts = new Map(
    certificate.issuer.typesAndValues.map(({ type, value }) => [
      type,
      String(value.valueBlock.value),
    ]),
  );
  if (parts.get(OID.organization) !== ORGANIZATION) return 0;
  const match = AUTHORITY_NAME.exec(parts.get(OID.commonName) ?? "");
  return match ? Number(match[1]) : 0;
}
