import {
  createHash,
  createHmac,
  hkdfSync,
  randomBytes,
  timingSafeEqual,
} from "node:crypto";
import { parseFingerprint, parseOnePem } from "./pem.ts";
import { base64url, fromBase64url, type JoinToken } from "./token.ts";

/**
 * A joining host proves that it has a token without sending its secret, with the
 * exchange of SCRAM (RFC 5802, section 3) and SHA-256.
 *
 *     salted key = HKDF(secret, salt)
 *     client key = HMAC(salted key, "Client Key")
 *     stored key = SHA-256(client key)              kept by the registry
 *     proof      = client key XOR HMAC(stored key, transcript)
 *
 * SCRAM stretches a password with PBKDF2. A secret of 256 random bits cannot
 * be guessed, so HKDF takes its place.
 *
 * The transcript ends with both nonces, the digest of the signing request and
 * the fingerprint of the server's certificate: a proof is valid for one
 * challenge, one key and one server (RFC 5929, `tls-server-end-point`).
 *
 * The stored key and the salt are not enough to join, because a proof needs
 * the client key, of which only the hash is kept. Together with an overheard
 * proof they reveal it; but proofs travel inside TLS, to a server that the
 * fingerprint has verified, and the token's lifetime, uses, role and name limit
 * the damage. A thief of the whole store has the authority's key as well and
 * needs no token: then rotate the authority.
 */

/** The salt and hash that the registry keeps in place of a token's secret, in base64url. */
export interface TokenVerifier {
  /** 16 random bytes. */
  readonly salt: string;
  /** 32 bytes. */
  readonly storedKey: string;
}

/** The values that a proof covers. Both sides know them before it is made. */
export interface TokenTranscript {
  readonly tokenId: string;
  /** The name that the joining host asks for. */
  readonly name: string;
  /** From the registry, for this attempt only; {@linkcode NONCE_BYTES} long. */
  readonly serverNonce: Uint8Array;
  /** From the joining host, equally long. */
  readonly clientNonce: Uint8Array;
  /** {@linkcode signingRequestDigest} of the request. */
  readonly requestDigest: Uint8Array;
  /** The fingerprint of the server's certificate, which each side takes from its own end of the connection. */
  readonly serverFingerprint: string;
}

/** Length of a nonce. */
export const NONCE_BYTES = 32;
const SALT_BYTES = 16;
const KEY_BYTES = 32;

/** A random nonce. */
export function createNonce(): Uint8Array<ArrayBuffer> {
  return new Uint8Array(randomBytes(NONCE_BYTES));
}

/** The SHA-256 of a request in PEM: what a join's proof is bound to. @throws {RangeError} when it is not PEM */
export function signingRequestDigest(
  request: string,
): Uint8Array<ArrayBuffer> {
  const der = parseOnePem("CERTIFICATE REQUEST", request);
  return new Uint8Array(createHash("sha256").update(der).digest());
}

/** Makes what the registry keeps in place of the secret. */
export function createVerifier(token: JoinToken): TokenVerifier {
  const salt = new Uint8Array(randomBytes(SALT_BYTES));
  return {
    salt: base64url(salt),
    storedKey: base64url(storedKeyOf(clientKeyOf(saltedKey(token, salt)))),
  };
}

/**
 * Makes the proof.
 *
 * @param proof the salt from the registry, and what the proof is bound to
 * @throws {RangeError} when the salt or a part of the transcript is not valid
 */
export function proveToken(
  token: JoinToken,
  proof: { readonly salt: string; readonly transcript: TokenTranscript },
): Uint8Array<ArrayBuffer> {
  const salt = readBytes("salt", proof.salt, SALT_BYTES);
  const message = encodeTranscript(proof.transcript);
  return scramProof(saltedKey(token, salt), message);
}

/**
 * Whether a proof was made with the token's secret for this transcript, in
 * constant time.
 *
 * @throws {RangeError} when the verifier or a part of the transcript is not valid
 */
export function verifyTokenProof(
  verifier: TokenVerifier,
  attempt: {
    readonly proof: Uint8Array;
    readonly transcript: TokenTranscript;
  },
): boolean {
  const storedKey = readBytes("stored key", verifier.storedKey, KEY_BYTES);
  const message = encodeTranscript(attempt.transcript);
  if (attempt.proof.length !== KEY_BYTES) return false;
  return verifyScramProof(storedKey, { proof: attempt.proof, message });
}

/** The proof of SCRAM-SHA-256 for a salted password and an auth message. */
export function scramProof(
  salted: Uint8Array,
  message: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const clientKey = clientKeyOf(salted);
  return xor(clientKey, hmac(storedKeyOf(clientKey), message));
}

/** Whether a proof of SCRAM-SHA-256 fits a stored key, in constant time. */
export function verifyScramProof(
  storedKey: Uint8Array,
  attempt: { readonly proof: Uint8Array; readonly message: Uint8Array },
): boolean {
  const clientKey = xor(attempt.proof, hmac(storedKey, attempt.message));
  return timingSafeEqual(storedKeyOf(clientKey), storedKey);
}

/** Checks what a record holds of a secret. @throws {RangeError} when it is not what {@linkcode createVerifier} made */
export function readVerifier(verifier: TokenVerifier): TokenVerifier {
  const { salt, storedKey } = verifier;
  readBytes("salt", salt, SALT_BYTES);
  readBytes("stored key", storedKey, KEY_BYTES);
  return { salt, storedKey };
}

function saltedKey(token: JoinToken, salt: Uint8Array): Uint8Array {
  const info = "stellar-net join token v1";
  return new Uint8Array(
    hkdfSync("sha256", token.secret, salt, info, KEY_BYTES),
  );
}

function clientKeyOf(salted: Uint8Array): Uint8Array {
  return hmac(salted, new TextEncoder().encode("Client Key"));
}

function storedKeyOf(clientKey: Uint8Array): Uint8Array {
  return createHash("sha256").update(clientKey).digest();
}

/** Each part with its length before it: no two transcripts have the same bytes. */
function encodeTranscript(transcript: TokenTranscript): Uint8Array {
  const { serverNonce, clientNonce, requestDigest } = transcript;
  for (const part of [serverNonce, clientNonce, requestDigest]) {
    if (part.length === NONCE_BYTES) continue;
    throw new RangeError(
      `A nonce or digest is not valid: it has ${part.length} bytes, not ${NONCE_BYTES}`,
    );
  }
  const encoder = new TextEncoder();
  const parts = [
    encoder.encode("stellar-net join v1"),
    encoder.encode(transcript.tokenId),
    encoder.encode(transcript.name),
    serverNonce,
    clientNonce,
    requestDigest,
    parseFingerprint(transcript.serverFingerprint),
  ];
  return new Uint8Array(parts.flatMap((part) => {
    const length = new DataView(new ArrayBuffer(4));
    length.setUint32(0, part.length);
    return [...new Uint8Array(length.buffer), ...part];
  }));
}

function hmac(key: Uint8Array, message: Uint8Array): Uint8Array {
  return createHmac("sha256", key).update(message).digest();
}

function xor(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(a.map((byte, index) => byte ^ b[index]!));
}

function readBytes(what: string, text: string, length: number): Uint8Array {
  const bytes = fromBase64url(text);
  if (bytes.length === length) return bytes;
  throw new RangeError(
    `The ${what} of a token is not valid: it has ${bytes.length} bytes, not ${length}`,
  );
}
