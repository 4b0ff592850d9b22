import { Certificate, CertificationRequest } from "pkijs";
import { decodeDer } from "./certificate_parts.ts";
import { parseOnePem } from "./pem.ts";

/** Longest certificate or request that is read, in bytes. Ours have some 600. */
const MAX_BYTES = 16 * 1024;

/**
 * Decodes a certificate from PEM or DER. Nothing in it is checked.
 *
 * @throws {RangeError} when it is none
 */
export function decodeCertificate(
  certificate: string | Uint8Array,
): Certificate {
  return decode(
    "CERTIFICATE",
    certificate,
    (schema) => new Certificate({ schema }),
  );
}

/**
 * Decodes a signing request (PKCS#10, RFC 2986) from PEM or DER. Nothing in
 * it is checked.
 *
 * @throws {RangeError} when it is none
 */
export function decodeRequest(
  request: string | Uint8Array,
): CertificationRequest {
  return decode(
    "CERTIFICATE REQUEST",
    request,
    (schema) => new CertificationRequest({ schema }),
  );
}

function decode<T>(
  label: "CERTIFICATE" | "CERTIFICATE REQUEST",
  encoded: string | Uint8Array,
  read: (schema: ReturnType<typeof decodeDer>) => T,
): T {
  const der = typeof encoded === "string"
    ? parseOnePem(label, encoded)
    : encoded;
  if (der.length > MAX_BYTES) {
    throw new RangeError(
      `The ${label} is not valid: it has ${der.length} bytes, and ${MAX_BYTES} are the most`,
    );
  }
  try {
    return read(decodeDer(der));
  } catch (cause) {
    throw new RangeError(`The ${label} is not valid: it cannot be decoded`, {
      cause,
    });
  }
}
