import { NetError } from "../base/error.ts";
import type { Address } from "../net/address.ts";
import type { Role } from "./pki/identity.ts";
import type { JoinToken } from "./pki/token.ts";
import type { Credentials } from "./trust.ts";

/** A request for a certificate. */
export interface SigningOrder {
  /** PEM (PKCS#10). The private key never leaves its host. */
  readonly signingRequest: string;
  /** The addresses of a node's server; empty for operators. */
  readonly addresses: readonly Address[];
}

/** A request for the first certificate. */
export interface EnrolmentRequest extends SigningOrder {
  readonly token: JoinToken;
  readonly name: string;
  /** The roles that the joining host accepts. A token for another role is refused, and not used. */
  readonly roles: readonly Role[];
}

/** A way to the cluster's certificate authority. */
export interface IssuingAgent {
  /**
   * Gets the first certificate with a join token. The fingerprint in the token
   * verifies the server before anything is sent to it.
   *
   * @throws {NetError} `unauthenticated` when the server does not belong to
   * the token's cluster or the token is wrong, `permission_denied` when the
   * token is not valid any more, `unavailable` when nobody answers
   */
  enrol(order: EnrolmentRequest, signal: AbortSignal): Promise<Credentials>;
  /** Renews the present certificate. @throws {NetError} as `enrol` does */
  renew(order: SigningOrder, signal: AbortSignal): Promise<Credentials>;
}

/** Where a node gets its certificate. */
export type CertificateSource =
  /** The node's own agent, which hosts the registry and has the authority's key. */
  | {
    readonly kind: "own";
    /** @throws {NetError} `unavailable` when the registry's store is out of reach */
    sign(
      order: SigningOrder & { readonly name: string },
    ): Promise<Credentials>;
  }
  /** Other agents, which the node joins. */
  | {
    readonly kind: "others";
    /** Agents that host the registry, tried in turn. */
    readonly issuers: readonly IssuingAgent[];
    /**
     * Reads the join token from its file each time; undefined when there is none.
     *
     * @throws {NetError} `not_found` when there is no such file;
     * `failed_precondition` when it cannot be read, or holds no token
     */
    readToken(): Promise<JoinToken | undefined>;
  };

/**
 * Asks for a certificate at one agent after the other until one issues it.
 *
 * @throws {NetError} the first refusal, or else the first failure to reach an agent
 */
export async function askInTurn(
  issuers: readonly IssuingAgent[],
  ask: (issuer: IssuingAgent) => Promise<Credentials>,
): Promise<Credentials> {
  const failures: NetError[] = [];
  for (const issuer of issuers) {
    try {
      return await ask(issuer);
    } catch (error) {
      if (!(error instanceof NetError)) throw error;
      failures.push(error);
    }
  }
  throw failures.find(isRefusal) ?? failures[0] ??
    new NetError(
      "unavailable",
      "Cannot ask for a certificate: nobody is named in --join",
    );
}

/** Whether an error is an answer, rather than the lack of one. */
export function isRefusal({ code }: NetError): boolean {
  return code !== "unavailable" && code !== "deadline_exceeded" &&
    code !== "cancelled";
}
