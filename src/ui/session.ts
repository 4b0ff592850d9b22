import { randomBytes, timingSafeEqual } from "node:crypto";
import { Buffer } from "node:buffer";

const SECRET_BYTES = 32;

/** The secrets that a browser gets for the key. */
export interface Grant {
  /** Value of the Set-Cookie header field (RFC 6265). */
  readonly cookie: string;
  /** Sent in a header field with each call, besides the cookie. */
  readonly token: string;
}

/** What a browser shows with a request. */
export interface Shown {
  /** The Cookie header field. */
  readonly cookie: string | undefined;
  /** The header field of the token. */
  readonly token?: string | undefined;
}

/**
 * The secrets of one run of the command, which end with it: a key that opens
 * the page once, and the cookie and the token that the key's holder gets.
 */
export class Session {
  /** Opens the page once. */
  readonly key: string = createSecret();
  readonly #token = createSecret();
  readonly #cookie = createSecret();
  /** Of its own: cookies of other commands on this host have the same domain. */
  readonly #cookieName = `stellar-net-${randomBytes(4).toString("hex")}`;
  #isOpened = false;

  /** Takes the key. Undefined: it is wrong, or has been used. */
  open(key: string): Grant | undefined {
    if (!isSame(key, this.key) || this.#isOpened) return undefined;
    this.#isOpened = true;
    const attributes = "; Path=/; HttpOnly; SameSite=Strict";
    return {
      cookie: `${this.#cookieName}=${this.#cookie}${attributes}`,
      token: this.#token,
    };
  }

  /** Whether a browser has the cookie, which is enough to get the page without data. */
  hasCookie({ cookie = "" }: Shown): boolean {
    return cookie.split(/; */).some((pair) => {
      const at = pair.indexOf("=");
      return pair.slice(0, at) === this.#cookieName &&
        isSame(pair.slice(at + 1), this.#cookie);
    });
  }

  /** Whether a browser has both secrets, which calls need. */
  mayCall(shown: Shown): boolean {
    return this.hasCookie(shown) && isSame(shown.token ?? "", this.#token);
  }
}

function createSecret(): string {
  return randomBytes(SECRET_BYTES).toString("base64url");
}

/** Compares in a time that depends only on the lengths. */
function isSame(given: string, secret: string): boolean {
  const [one, other] = [Buffer.from(given), Buffer.from(secret)];
  return one.length === other.length && timingSafeEqual(one, other);
}
