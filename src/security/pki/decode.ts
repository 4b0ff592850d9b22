import { fromBER } from "asn1js";
import { Certificate, CertificationRequest } from "pkijs";
import { toDer } from "./certificate_parts.ts";
import { parseOnePem } from "./pem.ts";

/**
 * Longest certificate and request that is read, in bytes: to read one takes up
 * to 20 ms for each 1,024. Our certificates have some 600 and 2,600 at most,
 * our requests some 250.
 */
const MAX_BYTES = { "CERTIFICATE": 16 * 1024, "CERTIFICATE REQUEST": 2048 };

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

/**
 * What is decoded has to have the same bytes again when it is encoded: the
 * library reads lengths and padding that another one would read otherwise.
 */
function decode<T extends Certificate | CertificationRequest>(
  label: "CERTIFICATE" | "CERTIFICATE REQUEST",
  encoded: string | Uint8Array,
  read: (schema: ReturnType<typeof fromBER>["result"]) => T,
): T {
  const der = typeof encoded === "string"
    ? parseOnePem(label, encoded)
    : encoded;
  if (der.length > MAX_BYTES[label]) {
    throw new RangeError(
      `The ${label} is not valid: it has ${der.length} bytes, and ${
        MAX_BYTES[label]
      } are the most`,
    );
  }
  try {
    const { offset, result } = fromBER(new Uint8Array(der));
    if (offset === der.length && result.error === "") {
      const part = read(result);
      if (isSame(toDer(part), der)) return part;
    }
  } catch (cause) {
    throw new RangeError(`The ${label} is not valid: it cannot be decoded`, {
      cause,
    });
  }
  throw new RangeError(`The ${label} is not valid: it is no DER`);
}

function isSame(bytes: Uint8Array, der: Uint8Array): boolean {
  return bytes.length === der.length &&
    bytes.every((byte, index) => byte === der[index]);
}
