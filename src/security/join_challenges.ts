import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { NetError } from "../base/error.ts";
import { base64url } from "./pki/token.ts";
import type { TokenVerifier } from "./pki/token_proof.ts";

/** The salt and the nonce that a joining host needs for its proof. */
export interface JoinChallenge {
  /** base64url. */
  readonly salt: string;
  readonly serverNonce: Uint8Array<ArrayBuffer>;
}

/** Time for which a nonce is valid, in ms. */
const NONCE_LIFETIME_MS = 60_000;
/** Most used nonces that are remembered. */
const MAX_USED = 10_000;

const TIME_BYTES = 8;
const RANDOM_BYTES = 8;
const TAG_BYTES = 16;
const SALT_BYTES = 16;

/**
 * The nonces with which joins begin. A nonce is its time, random bytes, and a
 * MAC over both and the token's id under a key of this process: nothing is
 * kept for a nonce, however many joining hosts ask. A nonce whose proof was right
 * is kept until it expires, so that it is valid once.
 */
export class JoinChallenges {
  readonly #now: () => number;
  readonly #key = randomBytes(32);
  /** Expiry by nonce in hexadecimal, in the order of use. */
  readonly #used = new Map<string, number>();

  /** @param now the time in ms since 1970 */
  constructor(now: () => number) {
    this.#now = now;
  }

  /**
   * Begins a join.
   *
   * @param verifier undefined when the token does not exist: then the salt is
   * invented, and the same each time
   */
  begin(tokenId: string, verifier: TokenVerifier | undefined): JoinChallenge {
    const serverNonce = new Uint8Array(TIME_BYTES + RANDOM_BYTES + TAG_BYTES);
    new DataView(serverNonce.buffer).setFloat64(0, this.#now());
    serverNonce.set(randomBytes(RANDOM_BYTES), TIME_BYTES);
    serverNonce.set(this.#tag(tokenId, serverNonce), TIME_BYTES + RANDOM_BYTES);
    const { salt } = verifier ?? this.inventVerifier(tokenId);
    return { salt, serverNonce };
  }

  /** A verifier that no secret matches, the same for an id each time. */
  inventVerifier(tokenId: string): TokenVerifier {
    const salt = this.#mac(`salt ${tokenId}`).subarray(0, SALT_BYTES);
    const storedKey = this.#mac(`stored key ${tokenId}`);
    return { salt: base64url(salt), storedKey: base64url(storedKey) };
  }

  /**
   * Returns if a nonce was made here for the token, and is neither expired nor
   * used.
   *
   * @throws {NetError} `unavailable` if not: the joining host begins again
   */
  check(tokenId: string, nonce: Uint8Array): void {
    const isOwn = nonce.length === TIME_BYTES + RANDOM_BYTES + TAG_BYTES &&
      timingSafeEqual(this.#tag(tokenId, nonce), nonce.subarray(-TAG_BYTES));
    const ageMs = isOwn ? this.#now() - timeOf(nonce) : Infinity;
    for (const [text, expiresAtMs] of this.#used) {
      if (this.#now() >= expiresAtMs) this.#used.delete(text);
    }
    const isUsed = this.#used.has(new Uint8Array(nonce).toHex());
    if (ageMs >= 0 && ageMs < NONCE_LIFETIME_MS && !isUsed) return;
    throw beginAgain("the join was not begun here within the last minute");
  }

  /**
   * Uses a nonce whose proof was right.
   *
   * @throws {NetError} `unavailable` when another call has used it just now, or
   * too many have joined within the last minute
   */
  use(nonce: Uint8Array): void {
    const text = new Uint8Array(nonce).toHex();
    if (this.#used.has(text)) {
      throw beginAgain("the same request is answered already");
    }
    if (this.#used.size >= MAX_USED) {
      throw beginAgain(`${MAX_USED} have joined here within the last minute`);
    }
    this.#used.set(text, timeOf(nonce) + NONCE_LIFETIME_MS);
  }

  /** The time and the random bytes have a fixed length, so that the rest is the id. */
  #tag(tokenId: string, nonce: Uint8Array): Uint8Array {
    const parts = nonce.subarray(0, TIME_BYTES + RANDOM_BYTES);
    return this.#mac("nonce ", parts, tokenId).subarray(0, TAG_BYTES);
  }

  #mac(...parts: readonly (string | Uint8Array)[]): Uint8Array {
    const mac = createHmac("sha256", this.#key);
    for (const part of parts) mac.update(part);
    return mac.digest();
  }
}

function timeOf(nonce: Uint8Array): number {
  return new DataView(new Uint8Array(nonce).buffer).getFloat64(0);
}

function beginAgain(what: string): NetError {
  return new NetError("unavailable", `Cannot join: ${what}; begin again`);
}
