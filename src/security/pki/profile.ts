/** The profile of the certificates of this project (RFC 5280): names, times and object identifiers. */

/** Object identifiers, as the hexadecimal content of their DER. */
export const OID = {
  /** 2.5.4.3 */
  commonName: "550403",
  /** 2.5.4.10 */
  organization: "55040a",
  /** 2.5.4.11 */
  organizationalUnit: "55040b",
  /** 2.5.29.14 */
  subjectKeyIdentifier: "551d0e",
  /** 2.5.29.15 */
  keyUsage: "551d0f",
  /** 2.5.29.17 */
  subjectAltName: "551d11",
  /** 2.5.29.19 */
  basicConstraints: "551d13",
  /** 2.5.29.35 */
  authorityKeyIdentifier: "551d23",
  /** 2.5.29.37 */
  extendedKeyUsage: "551d25",
  /** 1.3.6.1.5.5.7.3.1 */
  serverAuth: "2b06010505070301",
  /** 1.3.6.1.5.5.7.3.2 */
  clientAuth: "2b06010505070302",
  /** 1.2.840.10045.2.1 */
  ecPublicKey: "2a8648ce3d0201",
  /** 1.2.840.10045.3.1.7 */
  p256: "2a8648ce3d030107",
  /** 1.2.840.10045.4.3.2 */
  ecdsaWithSha256: "2a8648ce3d040302",
} as const;

/** The choices of a GeneralName in use (RFC 5280, section 4.2.1.6). */
export const GENERAL_NAME = { dns: 2, uri: 6, address: 7 } as const;

/** The organisation in the subject of every certificate. */
export const ORGANIZATION = "stellar-net";
/** The common name of an authority, with its generation. */
export const AUTHORITY_NAME = /^authority ([1-9]\d{0,8})$/;

/** A certificate is valid this long before its signing, in ms, because the clocks of hosts differ. */
export const BACKDATE_MS = 5 * 60_000;
/** Default lifetime of an authority: ten years. */
export const AUTHORITY_LIFETIME_MS = 3652 * 24 * 3600_000;
/** Default lifetime of a node's certificate. */
export const CERTIFICATE_LIFETIME_MS = 24 * 3600_000;

/** Formats what {@linkcode AUTHORITY_NAME} reads. */
export function authorityName(generation: number): string {
  return `authority ${generation}`;
}

/**
 * When a certificate is renewed: after two thirds of its lifetime, or up to a
 * tenth of its lifetime earlier, so that hosts that joined together do not
 * renew together.
 *
 * @param jitter 0 to 1
 */
export function renewalTimeMs(
  life: { readonly issuedAtMs: number; readonly notAfterMs: number },
  jitter: number,
): number {
  const { issuedAtMs, notAfterMs } = life;
  const share = 2 / 3 - jitter / 10;
  return issuedAtMs + Math.floor((notAfterMs - issuedAtMs) * share);
}
