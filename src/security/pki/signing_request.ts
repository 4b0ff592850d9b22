import { CertificationRequest, type PublicKeyInfo } from "pkijs";
import { createName, HASH, toDer } from "./certificate_parts.ts";
import { decodeRequest } from "./decode.ts";
import { fingerprintOf } from "./fingerprint.ts";
import { openKey, publicKeyInfo } from "./host_key.ts";
import { OID } from "./oid.ts";
import { formatPem } from "./pem.ts";
import { isP256, isSignedWith } from "./signature.ts";

/** A signing request whose sender has the private key. */
export interface SigningRequest {
  readonly publicKey: PublicKeyInfo;
  /** {@linkcode fingerprintOf} the public key. */
  readonly keyFingerprint: string;
}

/**
 * Makes a signing request (PKCS#10, RFC 2986) for a private key. Its subject
 * is empty: who gets which name is not for the request to say. It is signed
 * with the key, which proves that the sender has it.
 *
 * @param privateKey PKCS#8 in PEM, as `createKey` makes it
 * @returns PEM
 */
export async function createSigningRequest(
  privateKey: string,
): Promise<string> {
  const request = new CertificationRequest({
    subject: createName({ organization: "", unit: "", commonName: "" }),
    subjectPublicKeyInfo: await publicKeyInfo(privateKey),
    attributes: [],
  });
  await request.sign(await openKey(privateKey), HASH);
  return formatPem("CERTIFICATE REQUEST", toDer(request));
}

/**
 * Reads a signing request and verifies that its sender has the private key.
 * Names and extensions that it asks for are left out.
 *
 * @param request PEM
 * @throws {RangeError} when it is no request, is not for an ECDSA key on
 * P-256, or its signature is wrong
 */
export function readSigningRequest(request: string): SigningRequest {
  const decoded = decodeRequest(request);
  const { subjectPublicKeyInfo: publicKey, signatureAlgorithm } = decoded;
  if (!isP256(publicKey)) {
    throw invalid("its key has to be an ECDSA key on P-256");
  }
  if (signatureAlgorithm.algorithmId !== OID.ecdsaWithSha256) {
    throw invalid("it has to be signed with ECDSA and SHA-256");
  }
  if (!isSignedWith(decoded, publicKey)) {
    throw invalid("it is not signed with the key that it is for");
  }
  return { publicKey, keyFingerprint: fingerprintOf(toDer(publicKey)) };
}

function invalid(what: string): RangeError {
  return new RangeError(`The signing request is not valid: ${what}`);
}
