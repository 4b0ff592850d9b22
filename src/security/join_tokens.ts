import { NetError } from "../base/error.ts";
import { parseNodeName } from "../base/names.ts";
import { signingAt, trustedAt } from "./pki/generations.ts";
import type { Role } from "./pki/identity.ts";
import type { SigningRequest } from "./pki/signing_request.ts";
import { createToken, formatToken, type JoinToken } from "./pki/token.ts";
import { listTokens, type TokenListing } from "./pki/token_record.ts";
import {
  createVerifier,
  NONCE_BYTES,
  signingRequestDigest,
  verifyTokenProof,
} from "./pki/token_proof.ts";
import {
  planTokenCreate,
  planTokenRevoke,
  planTokenUse,
  type TokenGrant,
  type TokenRecord,
  type TokenTerms,
} from "./pki/token_record.ts";
import type { Store } from "../store/store.ts";
import { isRevoked, parseSigningRequest } from "./certificates.ts";
import {
  type Put,
  putRecord,
  readAuthorities,
  readIssued,
  readNameRevocation,
  readRevocations,
  readToken,
  readTokens,
  tokenKey,
} from "../state/identity_records.ts";
import type { JoinChallenges } from "./join_challenges.ts";
import type { PlannedWrites } from "./transaction.ts";

/** A join token as a list shows it: nothing of its secret. */
export interface ListedToken extends Omit<TokenListing, "state"> {
  /** `superseded`: another authority signs than the one that it names. */
  readonly state: TokenListing["state"] | "superseded";
}

/** A token that was just made. */
export interface CreatedToken {
  /** The token itself, told this once. */
  readonly secret: string;
  readonly token: ListedToken;
}

/** How a newcomer proves that it has a token. */
export interface JoinProof {
  readonly tokenId: string;
  /** The name to be certified. */
  readonly name: string;
  readonly serverNonce: Uint8Array;
  readonly clientNonce: Uint8Array;
  readonly proof: Uint8Array;
  /** PEM (PKCS#10). */
  readonly signingRequest: string;
  /** Of the certificate that the newcomer was shown: `fingerprintOf` its DER. */
  readonly serverFingerprint: string;
}

/** What the use of a token grants, and what has to be written with it. */
export interface PlannedUse extends TokenGrant {
  readonly request: SigningRequest;
  /** Whether the token is for this name alone. */
  readonly isBound: boolean;
  readonly puts: readonly Put[];
}

/** The tokens, the latest first. */
export async function listStoredTokens(
  store: Store,
  nowMs: number,
): Promise<ListedToken[]> {
  const tokens = await readTokens(store);
  // There is an authority once there is a token.
  if (tokens.length === 0) return [];
  const { fingerprint } = signingAt(await readAuthorities(store), nowMs);
  return listTokens(tokens, nowMs).map((token) => ({
    ...token,
    state: token.state === "usable" && token.fingerprint !== fingerprint
      ? "superseded"
      : token.state,
  }));
}

/** Plans a new token for the authority that signs now. @throws {NetError} `invalid_argument` naming what is wrong */
export async function planStoredToken(
  store: Store,
  terms: TokenTerms,
  nowMs: number,
): Promise<PlannedWrites<CreatedToken>> {
  const { fingerprint } = signingAt(await readAuthorities(store), nowMs);
  const made: JoinToken = createToken(fingerprint);
  const { id } = made;
  const verifier = createVerifier(made);
  const plan = planTokenCreate(terms, { id, verifier, fingerprint, nowMs });
  if (plan.kind === "refused") throw new NetError(plan.code, plan.message);
  return {
    answer: {
      secret: formatToken(made),
      token: listTokens([plan.answer], nowMs)[0]!,
    },
    puts: putTokens(plan.changes),
  };
}

/** Plans that a token lets nobody in any more. @throws {NetError} `not_found` */
export async function planStoredRevoke(
  store: Store,
  id: string,
  nowMs: number,
): Promise<PlannedWrites<ListedToken>> {
  const plan = planTokenRevoke(await readToken(store, id), { id, nowMs });
  if (plan.kind === "refused") throw new NetError(plan.code, plan.message);
  return {
    answer: listTokens([plan.answer], nowMs)[0]!,
    puts: putTokens(plan.changes),
  };
}

/**
 * Plans the use of a token. Whether one is known is told to nobody who has not
 * its secret.
 *
 * @throws {NetError} `unauthenticated` when it is not known or the proof is
 * wrong, `permission_denied` when it lets this name in no more,
 * `invalid_argument` naming a field
 */
export async function planStoredUse(
  { store, challenges, nowMs }: {
    readonly store: Store;
    readonly challenges: JoinChallenges;
    readonly nowMs: number;
  },
  proof: JoinProof,
): Promise<PlannedUse> {
  const { tokenId, name } = proof;
  const record = await readToken(store, tokenId);
  const verifier = record?.verifier ?? await challenges.madeUp(tokenId);
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
    revokedUpToMs: await revokedUpToMs(store, { role, name, keyFingerprint }),
  });
  if (plan.kind === "refused") throw new NetError(plan.code, plan.message);
  const trusted = trustedAt(await readAuthorities(store), nowMs);
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
    puts: putTokens(plan.changes),
  };
}

/** Up to when what a key has of a name is revoked; -1 when nothing is. */
async function revokedUpToMs(
  store: Store,
  { role, name, keyFingerprint }: {
    readonly role: Role;
    readonly name: string;
    readonly keyFingerprint: string;
  },
): Promise<number> {
  const revocations = await readRevocations(store);
  const revoked = (await readIssued(store, { role, name })).filter((record) =>
    record.keyFingerprint === keyFingerprint && isRevoked(record, revocations)
  );
  const byName = await readNameRevocation(store, role, name);
  return Math.max(
    byName?.issuedUpToMs ?? -1,
    ...revoked.map(({ issuedAtMs }) => issuedAtMs),
  );
}

/** Checks what does not depend on the token. @throws {NetError} `invalid_argument` naming the field */
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

function putTokens(records: readonly TokenRecord[]): Put[] {
  return records.map((record) => putRecord(tokenKey(record.id), record));
}
