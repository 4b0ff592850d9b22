import { X509Certificate } from "node:crypto";
import type { TrustRecord } from "./authority.ts";

/** Longest certificate that anybody may have read, in bytes. Ours have some 600. */
const MAX_FOREIGN_BYTES = 1024;

/** The keys of authorities. */
const keys = new WeakMap<TrustRecord, X509Certificate["publicKey"]>();

/**
 * Whether a certificate is long, and of a stranger: it is not read. That takes
 * up to 20 ms for each 1,024 bytes, and the system's library tells in less
 * than one who has signed it.
 *
 * @param authorities those that are known
 */
export function isLargeForeign(
  der: Uint8Array,
  authorities: readonly TrustRecord[],
): boolean {
  if (der.length <= MAX_FOREIGN_BYTES) return false;
  try {
    const certificate = new X509Certificate(der);
    return !authorities.some((one) => certificate.verify(keyOf(one)));
  } catch {
    // It is none, or signed with a key of another kind.
    return true;
  }
}

function keyOf(authority: TrustRecord): X509Certificate["publicKey"] {
  const key = keys.get(authority) ??
    new X509Certificate(authority.certificate).publicKey;
  keys.set(authority, key);
  return key;
}
