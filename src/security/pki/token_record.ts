import type { ErrorCode } from "../../base/error.ts";
import { parseNodeName } from "../../base/names.ts";
import { type Planned, type Refusal, refuse } from "../../base/plan.ts";
import type { Role } from "./identity.ts";
import type { TokenVerifier } from "./token_proof.ts";

/** A join token as the registry stores it. */
export interface TokenRecord {
  /** 12 hexadecimal digits. */
  readonly id: string;
  readonly verifier: TokenVerifier;
  /** The fingerprint of the authority in the token. */
  readonly fingerprint: string;
  readonly role: Role;
  /** The only name that can join with it; empty for any. */
  readonly name: string;
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
  readonly maxUses: number;
  readonly used: number;
  /** The latest uses, at most {@linkcode KEPT_USES}, the latest last. */
  readonly uses: readonly TokenUse[];
  /** 0 while it is not revoked. */
  readonly revokedAtMs: number;
}

export interface TokenUse {
  readonly name: string;
  /** The fingerprint of the certified key. */
  readonly keyFingerprint: string;
  readonly usedAtMs: number;
}

export interface TokenTerms {
  readonly role: Role;
  /** Empty for any. Operators need a name. */
  readonly name: string;
  readonly lifetimeMs: number;
  readonly maxUses: number;
}

/** Why nobody can join with a token. */
export type TokenRefusalReason =
  | "unknown"
  | "wrong_secret"
  | "revoked"
  | "expired"
  | "other_name"
  | "used_up";

/** A refusal with its reason for programs. */
export interface TokenRefusal extends Refusal {
  readonly reason: TokenRefusalReason;
}

/** The role and name that a token grants. */
export interface TokenGrant {
  readonly role: Role;
  readonly name: string;
}

/** Shortest and longest life of a token. */
export const TOKEN_LIFETIME_MS = { min: 60_000, max: 30 * 24 * 3600_000 };
/** Most uses of a token. */
export const MAX_USES = 10_000;
/** Uses that a record keeps. */
export const KEPT_USES = 32;

/**
 * Plans a new token.
 *
 * @param made its new id, verifier and fingerprint
 */
export function planTokenCreate(
  terms: TokenTerms,
  made: Pick<TokenRecord, "id" | "verifier" | "fingerprint"> & {
    readonly nowMs: number;
  },
): Planned<TokenRecord, TokenRecord> | Refusal {
  const { role, name, lifetimeMs, maxUses } = terms;
  const what = "Cannot create a token";
  const { min, max } = TOKEN_LIFETIME_MS;
  if (!(lifetimeMs >= min && lifetimeMs <= max)) {
    return refuse(
      "invalid_argument",
      `${what}: field "lifetime" is ${lifetimeMs / 1000} s, and has to be ${
        min / 1000
      } s to ${max / 1000} s`,
    );
  }
  if (!Number.isInteger(maxUses) || maxUses < 1 || maxUses > MAX_USES) {
    return refuse(
      "invalid_argument",
      `${what}: field "max_uses" is ${maxUses}, and has to be 1 to ${MAX_USES}`,
    );
  }
  if (name === "" && role !== "node") {
    return refuse(
      "invalid_argument",
      `${what}: field "name" is empty, and role ${role} needs the name of its holder`,
    );
  }
  try {
    if (name !== "") parseNodeName(name);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return refuse("invalid_argument", `${what}: ${error.message}`);
  }
  const { nowMs, ...rest } = made;
  const record: TokenRecord = {
    ...rest,
    role,
    name,
    createdAtMs: nowMs,
    expiresAtMs: nowMs + lifetimeMs,
    maxUses,
    used: 0,
    uses: [],
    revokedAtMs: 0,
  };
  return { kind: "planned", answer: record, changes: [record] };
}

/**
 * Plans the use of a token. Only a caller that proved to have it learns why it
 * is not valid.
 *
 * The same name with the same key is not another use, because the first answer
 * may have been lost; unless the name was revoked since.
 *
 * @param record undefined when no token has the id
 * @param use the caller, and whether its proof was right
 */
export function planTokenUse(
  record: TokenRecord | undefined,
  use: {
    readonly isProven: boolean;
    readonly name: string;
    readonly keyFingerprint: string;
    readonly nowMs: number;
    /** Time up to which the certificates of the name are revoked. Default: none is. */
    readonly revokedUpToMs?: number;
  },
): Planned<TokenGrant, TokenRecord> | TokenRefusal {
  const { isProven, name, keyFingerprint, nowMs, revokedUpToMs = -1 } = use;
  if (!record) {
    return refuseToken("unknown", "no token of this cluster has its id");
  }
  if (!isProven) return refuseToken("wrong_secret", "its secret is wrong");
  if (record.revokedAtMs > 0) {
    return refuseToken(
      "revoked",
      `it was revoked at ${timestamp(record.revokedAtMs)}`,
    );
  }
  if (nowMs >= record.expiresAtMs) {
    return refuseToken(
      "expired",
      `it expired at ${timestamp(record.expiresAtMs)}`,
    );
  }
  if (record.name !== "" && record.name !== name) {
    return refuseToken(
      "other_name",
      `it is for "${record.name}", not "${name}"`,
    );
  }
  const answer = { role: record.role, name };
  const isRepeated = record.uses.some((earlier) =>
    earlier.name === name && earlier.keyFingerprint === keyFingerprint &&
    earlier.usedAtMs > revokedUpToMs
  );
  if (isRepeated) return { kind: "planned", answer, changes: [] };
  if (record.used >= record.maxUses) {
    return refuseToken(
      "used_up",
      record.maxUses === 1
        ? "it was good for one use and has had it"
        : `it was good for ${record.maxUses} uses and has had them`,
    );
  }
  const uses = [...record.uses, { name, keyFingerprint, usedAtMs: nowMs }];
  const used: TokenRecord = {
    ...record,
    used: record.used + 1,
    uses: uses.slice(-KEPT_USES),
  };
  return { kind: "planned", answer, changes: [used] };
}

/** Plans the revocation of a token. Revoking it again changes nothing. */
export function planTokenRevoke(
  record: TokenRecord | undefined,
  request: { readonly id: string; readonly nowMs: number },
): Planned<TokenRecord, TokenRecord> | Refusal {
  if (!record) {
    return refuse(
      "not_found",
      `Cannot revoke token "${request.id}": there is none with that id`,
    );
  }
  if (record.revokedAtMs > 0) {
    return { kind: "planned", answer: record, changes: [] };
  }
  const revoked = { ...record, revokedAtMs: request.nowMs };
  return { kind: "planned", answer: revoked, changes: [revoked] };
}

function refuseToken(reason: TokenRefusalReason, what: string): TokenRefusal {
  const code: ErrorCode = reason === "unknown" || reason === "wrong_secret"
    ? "unauthenticated"
    : "permission_denied";
  const advice = "create another one";
  return {
    ...refuse(code, `Cannot join with this token: ${what}; ${advice}`),
    reason,
  };
}

function timestamp(atMs: number): string {
  return new Date(atMs).toISOString();
}

export type TokenState = "usable" | "used_up" | "expired" | "revoked";

/** A listed token, without its secret. */
export interface TokenListing
  extends Omit<TokenRecord, "verifier" | "revokedAtMs"> {
  readonly state: TokenState;
  readonly usesLeft: number;
}

/** Time for which a token that is no longer valid stays listed: a week. */
export const KEPT_TOKEN_MS = 7 * 24 * 3600_000;

/** Lists tokens, the latest first. */
export function listTokens(
  records: Iterable<TokenRecord>,
  nowMs: number,
): TokenListing[] {
  return [...records]
    .sort((a, b) => b.createdAtMs - a.createdAtMs || (a.id < b.id ? -1 : 1))
    .map((record) => {
      const { verifier: _, revokedAtMs: __, ...shown } = record;
      const usesLeft = Math.max(0, record.maxUses - record.used);
      return { ...shown, state: tokenState(record, nowMs), usesLeft };
    });
}

/** The tokens that have not been valid for so long that they can be deleted. */
export function forgottenTokens(
  records: Iterable<TokenRecord>,
  nowMs: number,
): TokenRecord[] {
  return [...records].filter(({ expiresAtMs, revokedAtMs }) => {
    const endedAtMs = revokedAtMs > 0
      ? Math.min(revokedAtMs, expiresAtMs)
      : expiresAtMs;
    return endedAtMs + KEPT_TOKEN_MS <= nowMs;
  });
}

/** The state of a token: the first that applies of revoked, expired and used up. */
export function tokenState(record: TokenRecord, nowMs: number): TokenState {
  if (record.revokedAtMs > 0) return "revoked";
  if (nowMs >= record.expiresAtMs) return "expired";
  return record.used >= record.maxUses ? "used_up" : "usable";
}
