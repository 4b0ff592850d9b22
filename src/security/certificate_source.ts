import { NetError } from "../base/error.ts";
import type { JoinToken } from "./pki/token.ts";
import type { Enroller, SigningOrder } from "./enroller.ts";
import type { Credentials } from "./trust.ts";

/** Where a node gets its certificate. */
export type CertificateSource =
  /** Its agent hosts the registry, and has the authority's key. */
  | {
    readonly kind: "own";
    /** @throws {NetError} `unavailable` when the registry's store is out of reach */
    sign(
      order: SigningOrder & { readonly name: string },
    ): Promise<Credentials>;
  }
  /** Its agent joins others. */
  | {
    readonly kind: "others";
    /** Agents that host the registry, tried in turn. */
    readonly enrollers: readonly Enroller[];
    /**
     * Reads the token to join with, anew each time; undefined when there is none.
     *
     * @throws {NetError} `failed_precondition` when it cannot be read, or is none
     */
    readToken(): Promise<JoinToken | undefined>;
  };

/**
 * Asks those that certify in turn, until one does.
 *
 * @throws {NetError} the first refusal, or else why the first was not reached
 */
export async function askInTurn(
  enrollers: readonly Enroller[],
  ask: (enroller: Enroller) => Promise<Credentials>,
): Promise<Credentials> {
  const failures: NetError[] = [];
  for (const enroller of enrollers) {
    try {
      return await ask(enroller);
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

/** Whether an error is an answer, and not that there was none. */
export function isRefusal({ code }: NetError): boolean {
  return code !== "unavailable" && code !== "deadline_exceeded" &&
    code !== "cancelled";
}
