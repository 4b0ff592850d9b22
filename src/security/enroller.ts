import type { Address } from "../net/address.ts";
import type { Role } from "./pki/identity.ts";
import type { JoinToken } from "./pki/token.ts";
import type { Credentials } from "./trust.ts";

/** What a key is certified for. */
export interface SigningOrder {
  /** PEM (PKCS#10): the key itself stays where it is. */
  readonly signingRequest: string;
  /** The addresses that a node's server is reached at; empty for operators. */
  readonly addresses: readonly Address[];
}

/** How a newcomer is let in. */
export interface EnrolOrder extends SigningOrder {
  readonly token: JoinToken;
  readonly name: string;
  /** What the newcomer can be: a token for another role is refused, and not used. */
  readonly roles: readonly Role[];
}

/** The cluster's authority, as a host reaches it. */
export interface Enroller {
  /**
   * Has a key certified by a join token. The server is verified by the
   * token's fingerprint before anything is sent to it.
   *
   * @throws {NetError} `unauthenticated` when the server does not belong to
   * the token's cluster or the token is wrong, `permission_denied` when the
   * token lets nobody in, `unavailable` when none answers
   */
  enrol(order: EnrolOrder, signal: AbortSignal): Promise<Credentials>;
  /** Has a key certified for who the certificate that is there says. @throws {NetError} as `enrol` does */
  renew(order: SigningOrder, signal: AbortSignal): Promise<Credentials>;
}
