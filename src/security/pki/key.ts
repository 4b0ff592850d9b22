import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from "node:crypto";
import {
  bitsOf,
  type DerElement,
  notDer,
  partsOf,
  readElement,
  TAG,
  writeDer,
} from "./der.ts";
import { OID } from "./profile.ts";
import { formatPem, parseOnePem, type PemLabel } from "./pem.ts";

/** Every key is an ECDSA key on P-256, and every signature is by SHA-256: all TLS libraries know both. */
const HASH = "sha256";

/** Signs with a private key that cannot be taken out of it. */
export interface Signer {
  /** SubjectPublicKeyInfo in DER. */
  readonly publicKey: Uint8Array<ArrayBuffer>;
  /** Signs DER: the content, the algorithm and the signature in one SEQUENCE, in DER. */
  sign(content: Uint8Array): Uint8Array<ArrayBuffer>;
  /** Signs any bytes. Returns the ECDSA-Sig-Value in DER. */
  signBytes(bytes: Uint8Array): Uint8Array<ArrayBuffer>;
}

/** The parts of a result of {@linkcode Signer.sign}. */
export interface Signed {
  /** The signed bytes, in DER. */
  readonly content: DerElement;
  /** The algorithm's AlgorithmIdentifier in DER. */
  readonly algorithm: Uint8Array;
  /** ECDSA-Sig-Value in DER. */
  readonly signature: Uint8Array;
}

const ECDSA_WITH_SHA256 = writeDer(
  TAG.sequence,
  writeDer(TAG.oid, Uint8Array.fromHex(OID.ecdsaWithSha256)),
);
const P256 = writeDer(
  TAG.sequence,
  writeDer(TAG.oid, Uint8Array.fromHex(OID.ecPublicKey)),
  writeDer(TAG.oid, Uint8Array.fromHex(OID.p256)),
);

/** Longest certificate and request that is read, in bytes. Ours have at most 2,600 and some 250. */
const MAX_BYTES = { "CERTIFICATE": 16 * 1024, "CERTIFICATE REQUEST": 2048 };

/** Makes a private key: PKCS#8 in PEM, for a file with mode 0600. */
export function createKey(): string {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const der = privateKey.export({ format: "der", type: "pkcs8" });
  return formatPem("PRIVATE KEY", der);
}

/**
 * Reads a private key, to sign with it.
 *
 * @throws {RangeError} when it is not an ECDSA key on P-256 as PKCS#8 in PEM;
 * the message quotes nothing of it
 */
export function openKey(privateKey: string): Signer {
  const key = importKey(parseOnePem("PRIVATE KEY", privateKey));
  const publicKey = createPublicKey(key)
    .export({ format: "der", type: "spki" });
  return {
    publicKey: new Uint8Array(publicKey),
    signBytes: (bytes) => new Uint8Array(sign(HASH, bytes, key)),
    sign: (content) =>
      writeDer(
        TAG.sequence,
        content,
        ECDSA_WITH_SHA256,
        writeDer(TAG.bitString, Uint8Array.of(0), sign(HASH, content, key)),
      ),
  };
}

/**
 * Takes what is signed apart. Nothing is verified.
 *
 * @throws {RangeError} when it is too long, or not DER
 */
export function readSigned(
  label: PemLabel & keyof typeof MAX_BYTES,
  der: Uint8Array,
): Signed {
  const most = MAX_BYTES[label];
  if (der.length > most) {
    throw new RangeError(
      `it has ${der.length} bytes, and ${most} are the most`,
    );
  }
  const [content, algorithm, signature, ...others] = partsOf(
    TAG.sequence,
    readElement(TAG.sequence, der),
  );
  if (!content || !algorithm || others.length > 0) throw notDer();
  return {
    content,
    algorithm: algorithm.bytes,
    signature: bitsOf(signature),
  };
}

/** Whether the algorithm of a signature is ECDSA with SHA-256. */
export function isEcdsaWithSha256({ algorithm }: Signed): boolean {
  return isSameBytes(algorithm, ECDSA_WITH_SHA256);
}

/** Whether a public key (SubjectPublicKeyInfo in DER) is for ECDSA on P-256, named and not described. */
export function isP256(publicKey: Uint8Array): boolean {
  const [algorithm] = partsOf(
    TAG.sequence,
    readElement(TAG.sequence, publicKey),
  );
  return algorithm !== undefined && isSameBytes(algorithm.bytes, P256);
}

/** Whether the holder of a key (SubjectPublicKeyInfo in DER) has signed something, with ECDSA and SHA-256. */
export function isSignedWith(signed: Signed, publicKey: Uint8Array): boolean {
  const { content: { bytes }, signature } = signed;
  return isEcdsaWithSha256(signed) &&
    verifyBytes(bytes, { publicKey, signature });
}

/** Whether the holder of a key (SubjectPublicKeyInfo in DER) has signed some bytes. */
export function verifyBytes(
  bytes: Uint8Array,
  { publicKey, signature }: {
    readonly publicKey: Uint8Array;
    readonly signature: Uint8Array;
  },
): boolean {
  if (!isP256(publicKey)) return false;
  try {
    const key = formatPem("PUBLIC KEY", publicKey);
    return verify(HASH, bytes, key, signature);
  } catch {
    // The key is not a point of the curve, or the signature is not DER.
    return false;
  }
}

/** The id of a public key: 160 bits of its SHA-256 (RFC 7093, section 2, method 1). */
export function keyId(publicKey: Uint8Array): Uint8Array {
  const [, bits] = partsOf(TAG.sequence, readElement(TAG.sequence, publicKey));
  return createHash(HASH).update(bitsOf(bits)).digest().subarray(0, 20);
}

/** Whether two sequences of bytes are equal. Not for secrets. */
export function isSameBytes(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length &&
    one.every((byte, i) => byte === other[i]);
}

function importKey(der: Uint8Array): KeyObject {
  try {
    const key = createPrivateKey({
      key: formatPem("PRIVATE KEY", der),
      format: "pem",
    });
    const { asymmetricKeyType, asymmetricKeyDetails } = key;
    if (
      asymmetricKeyType === "ec" &&
      asymmetricKeyDetails?.namedCurve === "prime256v1"
    ) return key;
  } catch {
    // The cause may quote the key.
  }
  throw new RangeError(
    "The private key is not valid: it has to be an ECDSA key on P-256, as PKCS#8 in PEM",
  );
}
