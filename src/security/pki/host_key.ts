import { PublicKeyInfo } from "pkijs";
import { KEY_ALGORITHM } from "./certificate_parts.ts";
import { formatPem, parseOnePem } from "./pem.ts";

/** Makes a key pair: the private key as PKCS#8 in PEM. It is for a file with mode 0600. */
export async function createKey(): Promise<string> {
  const { privateKey } = await crypto.subtle
    .generateKey(KEY_ALGORITHM, true, ["sign", "verify"]);
  const der = await crypto.subtle.exportKey("pkcs8", privateKey);
  return formatPem("PRIVATE KEY", new Uint8Array(der));
}

/**
 * Reads a private key to sign with. It cannot be exported again.
 *
 * @throws {RangeError} when it is no PKCS#8 of an ECDSA key on P-256; the
 * message holds nothing of it
 */
export async function openKey(privateKey: string): Promise<CryptoKey> {
  return await importKey(privateKey, false);
}

/** The public half of a private key. @throws {RangeError} as {@linkcode openKey} */
export async function publicKeyInfo(
  privateKey: string,
): Promise<PublicKeyInfo> {
  const { kty, crv, x, y } = await crypto.subtle
    .exportKey("jwk", await importKey(privateKey, true));
  const publicKey = await crypto.subtle
    .importKey("jwk", { kty, crv, x, y } as JsonWebKey, KEY_ALGORITHM, true, [
      "verify",
    ]);
  const info = new PublicKeyInfo();
  await info.importKey(publicKey);
  return info;
}

async function importKey(
  privateKey: string,
  isExtractable: boolean,
): Promise<CryptoKey> {
  const der = new Uint8Array(parseOnePem("PRIVATE KEY", privateKey));
  try {
    return await crypto.subtle
      .importKey("pkcs8", der, KEY_ALGORITHM, isExtractable, ["sign"]);
  } catch (cause) {
    throw new RangeError(
      "The private key is not valid: it has to be an ECDSA key on P-256, as PKCS#8 in PEM",
      { cause },
    );
  }
}
