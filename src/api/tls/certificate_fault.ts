import { X509Certificate } from "node:crypto";

const BLOCK = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;
/** Limit on the certificates between one and its authority. */
const MAX_DEPTH = 8;

/** The facts against which a certificate is checked. */
export interface FaultChecks {
  /** The trusted authorities. */
  readonly ca: readonly X509Certificate[];
  readonly nowMs: number;
  /** Where the authorities are, for messages. Default `in --tls-ca`. */
  readonly trusts?: string;
}

/** The certificates in a PEM text, in its order. @throws {Error} when one is damaged */
export function parseCertificates(text: string): X509Certificate[] {
  return (text.match(BLOCK) ?? []).map((block) => new X509Certificate(block));
}

/** Explains why TLS did not accept a certificate, with a way out; empty when
 * neither its validity period nor its authority is the reason.
 *
 * @param chain the certificate, then its known issuers
 */
export function findFault(
  chain: readonly X509Certificate[],
  { ca, nowMs, trusts = "in --tls-ca" }: FaultChecks,
): string {
  const [own] = chain;
  if (!own) return "there is none";
  if (nowMs > Date.parse(own.validTo)) {
    return `it was valid until ${iso(own.validTo)}: replace it`;
  }
  if (nowMs < Date.parse(own.validFrom)) {
    return `it is valid from ${iso(own.validFrom)} on, and it is ${
      new Date(nowMs).toISOString()
    } here: compare the clocks`;
  }
  if (isSigned(own, chain.slice(1), ca)) return "";
  return own.checkIssued(own)
    ? `it is signed by itself, not by an authority ${trusts}`
    : `"${
      own.issuer.replaceAll("\n", ", ")
    }", which has signed it, is no authority ${trusts}`;
}

function isSigned(
  own: X509Certificate,
  between: readonly X509Certificate[],
  ca: readonly X509Certificate[],
): boolean {
  let current = own;
  for (let depth = 0; depth < MAX_DEPTH; depth++) {
    if (ca.some((issuer) => hasSigned(issuer, current))) return true;
    const next = between.find((issuer) =>
      issuer !== current && hasSigned(issuer, current)
    );
    if (!next) return false;
    current = next;
  }
  return false;
}

function hasSigned(issuer: X509Certificate, other: X509Certificate): boolean {
  return other.checkIssued(issuer) && other.verify(issuer.publicKey);
}

function iso(date: string): string {
  return new Date(date).toISOString();
}
