import { X509Certificate } from "node:crypto";

/** When a certificate is valid, in ms since 1970 (RFC 5280 section 4.1.2.5). */
export interface Validity {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

const PEM = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/**
 * When the first certificate in a text is valid, and the authority that signed
 * it. Of several authorities that signed it, the one that is valid longest
 * counts.
 *
 * @param cert certificates in PEM, the holder's first; a damaged one counts as none
 * @param ca the trusted authorities in PEM
 */
export function readValidity(
  { cert, ca = "" }: { readonly cert: string; readonly ca?: string },
): { readonly own?: Validity; readonly authority?: Validity } {
  const [own, ...between] = parse(cert);
  const top = between.at(-1) ?? own;
  if (!own || !top) return {};
  const authority = parse(ca)
    .filter((one) => top.checkIssued(one) && top.verify(one.publicKey))
    .map(validityOf)
    .sort((a, b) => b.notAfterMs - a.notAfterMs)[0];
  return { own: validityOf(own), ...authority && { authority } };
}

function parse(text: string): X509Certificate[] {
  return (text.match(PEM) ?? []).flatMap((pem) => {
    try {
      return [new X509Certificate(pem)];
    } catch {
      return [];
    }
  });
}

function validityOf({ validFrom, validTo }: X509Certificate): Validity {
  return {
    notBeforeMs: Date.parse(validFrom),
    notAfterMs: Date.parse(validTo),
  };
}

/** The part of an authority's time, and the time in ms, with less of which left it is replaced. */
const EXPIRING_SHARE = 1 / 10;
const EXPIRING_MS = 90 * 24 * 3600_000;

/**
 * What an operator should know of the authority that signed a certificate: it
 * takes a month to replace one without an interruption.
 *
 * @param wayOut how to replace it
 */
export function authorityWarnings(
  material: { readonly cert: string; readonly ca: string } | undefined,
  { nowMs, wayOut }: { readonly nowMs: number; readonly wayOut: string },
): string[] {
  const { authority } = material ? readValidity(material) : {};
  if (!authority) return [];
  const { notBeforeMs, notAfterMs } = authority;
  const leftMs = notAfterMs - nowMs;
  const isExpiring = leftMs < EXPIRING_MS &&
    leftMs < (notAfterMs - notBeforeMs) * EXPIRING_SHARE;
  return isExpiring
    ? [
      `the authority that signed this host's certificate ${
        leftMs > 0 ? "is" : "was"
      } valid until ${new Date(notAfterMs).toISOString()}: ${wayOut}`,
    ]
    : [];
}
