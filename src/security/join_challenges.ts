import { NetError } from "../base/error.ts";
import { base64url } from "./pki/token.ts";
import type { TokenVerifier } from "./pki/token_proof.ts";

/** What a newcomer makes its proof with. */
export interface JoinChallenge {
  /** base64url. */
  readonly salt: string;
  readonly serverNonce: Uint8Array<ArrayBuffer>;
}

/** How long a nonce is good, in ms. */
export const NONCE_LIFETIME_MS = 60_000;
/** Nonces of this many joins are remembered at most. */
const MAX_USED = 10_000;

const TIME_BYTES = 8;
const RANDOM_BYTES = 8;
const TAG_BYTES = 16;
const SALT_BYTES = 16;
const HMAC = { name: "HMAC", hash: "SHA-256" } as const;

/**
 * The nonces that joins are begun with. A nonce is its time, randomness and a
 * code over both and the token's id, made with a key that this process alone
 * has: nothing is kept of those that are given out, however many ask. Those of
 * proofs that were right are kept until they end, so that each is good once.
 */
export class JoinChallenges {
  readonly #now: () => number;
  readonly #key: Promise<CryptoKey>;
  /** In hexadecimal, with when they end; the first to end first. */
  readonly #used = new Map<string, number>();

  /** @param now the time in ms since 1970 */
  constructor(now: () => number) {
    this.#now = now;
    this.#key = crypto.subtle.generateKey(HMAC, false, [
      "sign",
      "verify",
    ]) as Promise<CryptoKey>;
  }

  /**
   * Begins a join.
   *
   * @param verifier undefined when no token has the id: then the salt is made
   * up, the same each time
   */
  async begin(
    tokenId: string,
    verifier: TokenVerifier | undefined,
  ): Promise<JoinChallenge> {
    const serverNonce = new Uint8Array(TIME_BYTES + RANDOM_BYTES + TAG_BYTES);
    new DataView(serverNonce.buffer).setFloat64(0, this.#now());
    crypto.getRandomValues(serverNonce.subarray(TIME_BYTES, -TAG_BYTES));
    const tag = await this.#sign(taggedBytes(tokenId, serverNonce));
    serverNonce.set(tag.subarray(0, TAG_BYTES), TIME_BYTES + RANDOM_BYTES);
    return {
      salt: verifier?.salt ?? (await this.madeUp(tokenId)).salt,
      serverNonce,
    };
  }

  /** A verifier that no secret fits, the same for an id each time. */
  async madeUp(tokenId: string): Promise<TokenVerifier> {
    const salt = await this.#sign(encode(`salt ${tokenId}`));
    const storedKey = await this.#sign(encode(`stored key ${tokenId}`));
    return {
      salt: base64url(salt.subarray(0, SALT_BYTES)),
      storedKey: base64url(storedKey),
    };
  }

  /**
   * Returns when a nonce is one that was given out for the token, is not too
   * old and was not used.
   *
   * @throws {NetError} `unavailable` when it is not: the newcomer begins again
   */
  async check(tokenId: string, nonce: Uint8Array): Promise<void> {
    const isOwn = nonce.length === TIME_BYTES + RANDOM_BYTES + TAG_BYTES &&
      await this.#isTagged(tokenId, new Uint8Array(nonce));
    const ageMs = isOwn ? this.#now() - timeOf(nonce) : Infinity;
    this.#forgetEnded();
    const isUsed = this.#used.has(new Uint8Array(nonce).toHex());
    if (ageMs >= 0 && ageMs < NONCE_LIFETIME_MS && !isUsed) return;
    throw beginAgain("the join was not begun here within the last minute");
  }

  /**
   * Uses a nonce up. The proof that was made with it was right.
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

  #forgetEnded(): void {
    for (const [text, endsAtMs] of this.#used) {
      if (this.#now() >= endsAtMs) this.#used.delete(text);
    }
  }

  async #sign(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
    return new Uint8Array(
      await crypto.subtle.sign(HMAC, await this.#key, bytes),
    );
  }

  async #isTagged(tokenId: string, nonce: Uint8Array): Promise<boolean> {
    const tag = await this.#sign(taggedBytes(tokenId, nonce));
    return isSame(tag.subarray(0, TAG_BYTES), nonce.subarray(-TAG_BYTES));
  }
}

/** The time and the randomness have a fixed length: what follows is the id. */
function taggedBytes(
  tokenId: string,
  nonce: Uint8Array,
): Uint8Array<ArrayBuffer> {
  return new Uint8Array([
    ...encode("nonce "),
    ...nonce.subarray(0, TIME_BYTES + RANDOM_BYTES),
    ...encode(tokenId),
  ]);
}

function timeOf(nonce: Uint8Array): number {
  return new DataView(new Uint8Array(nonce).buffer).getFloat64(0);
}

/** Compares two codes of one length in a time that does not tell where they differ. */
function isSame(one: Uint8Array, other: Uint8Array): boolean {
  let difference = 0;
  for (const [i, byte] of one.entries()) difference |= byte ^ other[i]!;
  return difference === 0;
}

function encode(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

function beginAgain(what: string): NetError {
  return new NetError("unavailable", `Cannot join: ${what}; begin again`);
}
