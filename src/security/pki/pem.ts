import { quote } from "../../net/address.ts";
import { createHash } from "node:crypto";

/** The content of a block of PEM (RFC 7468). */
export type PemLabel =
  | "CERTIFICATE"
  | "CERTIFICATE REQUEST"
  | "PRIVATE KEY"
  | "PUBLIC KEY";

/** Longest text that is read, in characters: hundreds of certificates. */
const MAX_LENGTH = 1 << 20;

const BLOCK =
  /-----BEGIN ([A-Z0-9 ]{1,40})-----\s([A-Za-z0-9+/=\s]*)-----END \1-----/g;

/** Formats DER as one block of PEM, with lines of 64 characters and a final newline. */
export function formatPem(label: PemLabel, der: Uint8Array): string {
  const lines = der.toBase64().match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ""]
    .join("\n");
}

/**
 * Parses blocks of PEM that all hold the same thing. Text outside of blocks
 * is left out, as RFC 7468, section 2 says.
 *
 * The messages never quote what a block holds: it may be a key.
 *
 * @returns at least one DER
 * @throws {RangeError} when there is none, one holds something else, or is damaged
 */
export function parsePem(label: PemLabel, text: string): Uint8Array[] {
  if (text.length > MAX_LENGTH) {
    throw invalid(label, `it is longer than ${MAX_LENGTH} characters`);
  }
  const blocks = [...text.matchAll(BLOCK)];
  const begun = text.match(/-----BEGIN /g)?.length ?? 0;
  if (begun === 0) throw invalid(label, `it has no "-----BEGIN ${label}-----"`);
  if (blocks.length !== begun) throw invalid(label, "a block is cut off");
  return blocks.map(([, found = "", base64 = ""]) => {
    if (found !== label) throw invalid(label, `it holds a ${quote(found)}`);
    return decode(label, base64);
  });
}

/** Parses PEM that holds exactly one block. @throws {RangeError} as {@linkcode parsePem} */
export function parseOnePem(label: PemLabel, text: string): Uint8Array {
  const [der, ...more] = parsePem(label, text);
  if (der && more.length === 0) return der;
  throw invalid(label, `it holds ${more.length + 1} of them, not one`);
}

function decode(label: PemLabel, base64: string): Uint8Array {
  try {
    const der = Uint8Array.fromBase64(base64, { lastChunkHandling: "strict" });
    if (der.length > 0) return der;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw invalid(label, "a block is not base64");
  }
  throw invalid(label, "a block is empty");
}

function invalid(label: PemLabel, what: string): RangeError {
  return new RangeError(`The ${label} in PEM is not valid: ${what}`);
}

/** The text form of a fingerprint: 32 bytes of SHA-256 in hexadecimal. */
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
