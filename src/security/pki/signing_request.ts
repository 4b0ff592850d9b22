import { contextTag, notDer, partsOf, TAG, writeDer } from "./der.ts";
import { fingerprintOf, formatPem, parseOnePem } from "./pem.ts";
import {
  isEcdsaWithSha256,
  isP256,
  isSignedWith,
  openKey,
  readSigned,
} from "./key.ts";

/** A signing request whose sender has the private key. */
export interface SigningRequest {
  /** SubjectPublicKeyInfo in DER. */
  readonly publicKey: Uint8Array;
  /** {@linkcode fingerprintOf} the public key. */
  readonly keyFingerprint: string;
}

/**
 * Makes a signing request (PKCS#10, RFC 2986). Its subject is empty, because
 * the authority decides the name. Its signature proves that the sender has the
 * private key.
 *
 * @param privateKey PKCS#8 in PEM
 * @returns PEM
 * @throws {RangeError} when the key is not an ECDSA key on P-256
 */
export function createSigningRequest(privateKey: string): string {
  const signer = openKey(privateKey);
  const content = writeDer(
    TAG.sequence,
    writeDer(TAG.integer, Uint8Array.of(0)),
    writeDer(TAG.sequence),
    signer.publicKey,
    writeDer(contextTag(0, { isConstructed: true })),
  );
  return formatPem("CERTIFICATE REQUEST", signer.sign(content));
}

/**
 * Reads a signing request, and verifies that its sender has the private key.
 * Names and extensions in it are ignored.
 *
 * @param request PEM
 * @throws {RangeError} when it is not a request for an ECDSA key on P-256, or
 * its signature is wrong
 */
export function readSigningRequest(request: string): SigningRequest {
  try {
    const signed = readSigned(
      "CERTIFICATE REQUEST",
      parseOnePem("CERTIFICATE REQUEST", request),
    );
    const [, , key] = partsOf(TAG.sequence, signed.content);
    if (!key) throw notDer();
    if (!isP256(key.bytes)) {
      throw new RangeError("its key has to be an ECDSA key on P-256");
    }
    if (!isEcdsaWithSha256(signed)) {
      throw new RangeError("it has to be signed with ECDSA and SHA-256");
    }
    if (!isSignedWith(signed, key.bytes)) {
      throw new RangeError("it is not signed with the key that it is for");
    }
    return { publicKey: key.bytes, keyFingerprint: fingerprintOf(key.bytes) };
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new RangeError(
      `The signing request is not valid: ${cause.message}`,
      { cause },
    );
  }
}
