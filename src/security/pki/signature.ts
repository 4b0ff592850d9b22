import { verify } from "node:crypto";
import type { Certificate, CertificationRequest } from "pkijs";
import { toDer } from "./certificate_parts.ts";
import { OID } from "./oid.ts";
import { formatPem } from "./pem.ts";

/**
 * Whether a certificate or request was signed by the holder of a key, with
 * ECDSA and SHA-256. What cannot be verified was not. The signature is
 * decoded by the system's library, which is strict, where pkijs guesses.
 */
export function isSignedWith(
  signed: Certificate | CertificationRequest,
  key: Certificate["subjectPublicKeyInfo"],
): boolean {
  const { algorithmId } = signed.signatureAlgorithm;
  if (algorithmId !== OID.ecdsaWithSha256 || !isP256(key)) return false;
  const { valueHexView, unusedBits } = signed.signatureValue.valueBlock;
  if (unusedBits !== 0) return false;
  try {
    return verify(
      "sha256",
      signed.tbsView,
      formatPem("PUBLIC KEY", toDer(key)),
      valueHexView,
    );
  } catch {
    // The key is no point of the curve, or the signature is no DER.
    return false;
  }
}

/** Whether a public key is one for ECDSA on P-256, told by the curve's name. */
export function isP256(key: Certificate["subjectPublicKeyInfo"]): boolean {
  const { algorithmId, algorithmParams } = key.algorithm;
  return algorithmId === OID.ecPublicKey &&
    algorithmParams?.valueBlock?.toString() === OID.p256;
}
