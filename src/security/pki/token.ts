import { createHash } from "node:crypto";
import { quote } from "../../net/address.ts";
import { formatFingerprint, parseFingerprint } from "./pem.ts";

/**
 * A secret with which a host or an operator joins. It appears in no log, no
 * error and no list of arguments.
 */
export interface JoinToken {
  /** The fingerprint of the authority that has to sign the server's certificate. */
  readonly fingerprint: string;
  /** Names the token in lists. Not secret. */
  readonly id: string;
  /** 32 random bytes. */
  readonly secret: Uint8Array<ArrayBuffer>;
}

const PREFIX = "stn1";
const SECRET_BYTES = 32;
const ID_BYTES = 6;
/** 36 bits: a typing error passes once in 70 billion. */
const CHECKSUM_LENGTH = 6;
/** Longest text that is read, in characters. */
const MAX_LENGTH = 200;
const ID = /^[0-9a-f]{12}$/;
const SHAPE =
  /^stn1\.([A-Za-z0-9_-]{43})\.([0-9a-f]{12})\.([A-Za-z0-9_-]{43})\.([A-Za-z0-9_-]{6})$/;

/** Makes a token: a random id and secret for an authority's fingerprint. */
export function createToken(fingerprint: string): JoinToken {
  parseFingerprint(fingerprint);
  return {
    fingerprint,
    id: crypto.getRandomValues(new Uint8Array(ID_BYTES)).toHex(),
    secret: crypto.getRandomValues(new Uint8Array(SECRET_BYTES)),
  };
}

/**
 * Prints a token as one word of 112 characters:
 * `stn1.FINGERPRINT.ID.SECRET.CHECKSUM`.
 */
export function formatToken(token: JoinToken): string {
  const body = [
    PREFIX,
    base64url(parseFingerprint(token.fingerprint)),
    token.id,
    base64url(token.secret),
  ].join(".");
  return `${body}.${checksum(body)}`;
}

/**
 * Reads a printed token, without the space around it. The messages quote nothing
 * of it.
 *
 * @throws {RangeError} when it is not a token, mistyped or cut off, or of
 * another version
 */
export function parseToken(text: string): JoinToken {
  const word = text.trim();
  if (word === "") throw invalid("it is empty");
  const version = /^stn(\d{1,3})\./.exec(word)?.[1];
  if (version !== undefined && version !== "1") {
    throw invalid(`it is of version ${version}, and this program reads 1`);
  }
  if (version === undefined) {
    throw invalid(`it has to begin with "${PREFIX}."`);
  }
  if (word.length > MAX_LENGTH) {
    throw invalid(`it has ${word.length} characters, and a token has 112`);
  }
  const match = SHAPE.exec(word);
  const body = word.slice(0, -CHECKSUM_LENGTH - 1);
  const [, digest = "", id = "", secret = "", sum = ""] = match ?? [];
  if (!match || checksum(body) !== sum) {
    throw invalid(
      "it was mistyped or cut off, its checksum does not fit: copy it again as a whole",
    );
  }
  return {
    fingerprint: formatFingerprint(fromBase64url(digest)),
    id,
    secret: fromBase64url(secret),
  };
}

/** Checks the id of a token. @throws {RangeError} when it is none */
export function parseTokenId(text: string): string {
  if (ID.test(text)) return text;
  // Whoever gives the whole token must not find it in a log.
  const shown = text.length > ID_BYTES * 4 ? "What was given" : quote(text);
  throw new RangeError(
    `${shown} is not the id of a token: it has to be ${
      ID_BYTES * 2
    } hexadecimal digits, as the list of tokens shows it`,
  );
}

/** Base64url without padding (RFC 4648, section 5). */
export function base64url(bytes: Uint8Array): string {
  return bytes.toBase64({ alphabet: "base64url", omitPadding: true });
}

/** Reads base64url, only as {@linkcode base64url} writes it. @throws {RangeError} for anything else */
export function fromBase64url(text: string): Uint8Array<ArrayBuffer> {
  let bytes: Uint8Array<ArrayBuffer> | undefined;
  try {
    bytes = Uint8Array.fromBase64(text, { alphabet: "base64url" });
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  if (bytes && base64url(bytes) === text) return bytes;
  throw new RangeError("It is not base64url");
}

function checksum(body: string): string {
  return createHash("sha256").update(body).digest("base64url")
    .slice(0, CHECKSUM_LENGTH);
}

function invalid(what: string): RangeError {
  return new RangeError(`The join token is not valid: ${what}`);
}
