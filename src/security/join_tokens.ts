import { NetError } from "../base/error.ts";
import { parseNodeName } from "../base/names.ts";
import { signingAt, trustedAt } from "./pki/generations.ts";
import type { Role } from "./pki/identity.ts";
import type { SigningRequest } from "./pki/signing_request.ts";
import { createToken, formatToken, type JoinToken } from "./pki/token.ts";
import {
  createVerifier,
  NONCE_BYTES,
  signingRequestDigest,
  verifyTokenProof,
} from "./pki/token_proof.ts";
import {
  listTokens,
  planTokenCreate,
  planTokenRevoke,
  planTokenUse,
  type TokenGrant,
  type TokenListing,
  type TokenRecord,
  type TokenTerms,
} from "./pki/token_record.ts";
import { type IdentityChange, tokenKey } from "../state/identity_records.ts";
import { isRevoked, parseSigningRequest } from "./certificates.ts";
import type { IdentityPlan, IdentityRecords } from "./identity_ledger.ts";
import type { JoinChallenges } from "./join_challenges.ts";

/** A listed join token, without its secret. */
export interface ListedToken extends Omit<TokenListing, "state"> {
  /** `superseded`: another authority signs now. */
  readonly state: TokenListing["state"] | "superseded";
}

/** A new token. */
export interface CreatedToken {
  /** The token itself. Nothing else ever shows it. */
  readonly secret: string;
  readonly token: ListedToken;
}

/** The proof that a joining host has a token. */
export interface JoinProof {
  readonly tokenId: string;
  /** The name for the certificate. */
  readonly name: string;
  readonly serverNonce: Uint8Array;
  readonly clientNonce: Uint8Array;
  readonly proof: Uint8Array;
  /** PEM (PKCS#10). */
  readonly signingRequest: string;
  /** `fingerprintOf` the DER of the server's certificate, as the joining host saw it. */
  readonly serverFingerprint: string;
}

/** The grant of a token's use, and the records that it changes. */
export interface PlannedUse extends TokenGrant {
  readonly request: SigningRequest;
  /** Whether the token is for this name alone. */
  readonly isBound: boolean;
  readonly changes: readonly IdentityChange[];
}

/** The tokens, the latest first. */
export function listStoredTokens(
  { tokens, authorities }: IdentityRecords,
  nowMs: number,
): ListedToken[] {
  // Where there is a token, there is an authority.
  if (tokens.length === 0) return [];
  const { fingerprint } = signingAt(authorities, nowMs);
  return listTokens(tokens, nowMs).map((token) => ({
    ...token,
    state: token.state === "usable" && token.fingerprint !== fingerprint
      ? "superseded"
      : token.state,
  }));
}

/** Plans a token of the authority that signs now. @throws {NetError} `invalid_argument` naming the field */
export function planStoredToken(
  { authorities }: IdentityRecords,
  terms: TokenTerms,
  nowMs: number,
): IdentityPlan<CreatedToken> {
  const { fingerprint } = signingAt(authorities, nowMs);
  const made: JoinToken = createToken(fingerprint);
  const { id } = made;
  const verifier = createVerifier(made);
  const plan = planTokenCreate(terms, { id, verifier, fingerprint, nowMs });
  if (plan.kind === "refused") throw new NetError(plan.code, plan.message);
  const [token] = listTokens([plan.answer], nowMs);
  return {
    kind: "planned",
    answer: { secret: formatToken(made), token: token! },
    changes: plan.changes.map(stored),
  };
}

/** Plans the revocation of a token. @throws {NetError} `not_found` */
export function planStoredRevoke(
  records: IdentityRecords,
  id: string,
  nowMs: number,
): IdentityPlan<ListedToken> {
  const plan = planTokenRevoke(records.token(id), { id, nowMs });
  if (plan.kind === "refused") throw new NetError(plan.code, plan.message);
  const [answer] = listTokens([plan.answer], nowMs);
  return {
    kind: "planned",
    answer: answer!,
    changes: plan.changes.map(stored),
  };
}

/**
 * Plans the use of a token. Nobody without its secret learns whether it exists.
 *
 * @throws {NetError} `unauthenticated` when it does not exist or the proof is
 * wrong, `permission_denied` when it is not valid for this name any more,
 * `invalid_argument` naming a field
 */
export function planStoredUse(
  { records, challenges, nowMs }: {
    readonly records: IdentityRecords;
    readonly challenges: JoinChallenges;
    readonly nowMs: number;
  },
  proof: JoinProof,
): PlannedUse {
  const { tokenId, name } = proof;
  const record = records.token(tokenId);
  const verifier = record?.verifier ?? challenges.inventVerifier(tokenId);
  const { serverNonce, clientNonce, serverFingerprint } = proof;
  const isProven = verifyTokenProof(verifier, {
    proof: proof.proof,
    transcript: {
      ...{ tokenId, name, serverNonce, clientNonce, serverFingerprint },
      requestDigest: signingRequestDigest(proof.signingRequest),
    },
  });
  if (!record || !isProven) {
    throw new NetError(
      "unauthenticated",
      "Cannot join with this token: the cluster has none with its id and secret; create another one",
    );
  }
  const request = parseSigningRequest(proof.signingRequest);
  const { keyFingerprint } = request;
  const { role } = record;
  const plan = planTokenUse(record, {
    ...{ isProven, name, keyFingerprint, nowMs },
    revokedUpToMs: revokedUpToMs(records, { role, name, keyFingerprint }),
  });
  if (plan.kind === "refused") throw new NetError(plan.code, plan.message);
  const trusted = trustedAt(records.authorities, nowMs);
  if (!trusted.some(({ fingerprint }) => fingerprint === record.fingerprint)) {
    throw new NetError(
      "permission_denied",
      "Cannot join with this token: the authority that it names is not trusted any more; create another one",
    );
  }
  return {
    ...plan.answer,
    request,
    isBound: record.name === name,
    changes: plan.changes.map(stored),
  };
}

/** The time up to which the certificates of a key and name are revoked; -1 when none is. */
function revokedUpToMs(
  records: IdentityRecords,
  { role, name, keyFingerprint }: {
    readonly role: Role;
    readonly name: string;
    readonly keyFingerprint: string;
  },
): number {
  const revoked = records.issuedTo({ role, name }).filter((record) =>
    record.keyFingerprint === keyFingerprint &&
    isRevoked(record, records.revocations)
  );
  return Math.max(
    records.nameRevocation(role, name)?.issuedUpToMs ?? -1,
    ...revoked.map(({ issuedAtMs }) => issuedAtMs),
  );
}

/** Checks the fields that do not depend on the token. @throws {NetError} `invalid_argument` naming the field */
export function checkProof(proof: JoinProof): void {
  const { name, clientNonce, serverFingerprint, signingRequest } = proof;
  const wrong = (field: string, what: string) =>
    new NetError("invalid_argument", `Invalid field "${field}": ${what}`);
  if (clientNonce.length !== NONCE_BYTES) {
    throw wrong(
      "client_nonce",
      `it has ${clientNonce.length} bytes, not ${NONCE_BYTES}`,
    );
  }
  try {
    parseNodeName(name);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw wrong("name", error.message);
  }
  try {
    signingRequestDigest(signingRequest);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw wrong("signing_request", error.message);
  }
  if (serverFingerprint !== "") return;
  throw new NetError(
    "failed_precondition",
    "Cannot join over this connection: it is plain text, and a proof is bound to the server's certificate; join with https",
  );
}

function stored(record: TokenRecord): IdentityChange {
  return { kind: "token", key: tokenKey(record.id), record };
}
