import { createHash } from "node:crypto";
import { quote } from "../../net/address.ts";

/** How a fingerprint is printed: 32 bytes of SHA-256 in hexadecimal. */
const FINGERPRINT = /^sha256:([0-9a-f]{64})$/;

/**
 * The fingerprint of a public key: `sha256:` and the SHA-256 of its DER
 * (SubjectPublicKeyInfo) in lower case, as
 * `openssl pkey -pubin -outform DER | sha256sum` prints it.
 */
export function fingerprintOf(der: Uint8Array): string {
  return formatFingerprint(createHash("sha256").update(der).digest());
}

export function formatFingerprint(bytes: Uint8Array): string {
  return `sha256:${new Uint8Array(bytes).toHex()}`;
}

/** The 32 bytes of a fingerprint. @throws {RangeError} when it is none */
export function parseFingerprint(text: string): Uint8Array<ArrayBuffer> {
  const match = FINGERPRINT.exec(text);
  if (match) return Uint8Array.fromHex(match[1]!);
  throw new RangeError(
    `${
      quote(text)
    } is not a fingerprint: it has to be "sha256:" and 64 hexadecimal digits in lower case`,
  );
}
