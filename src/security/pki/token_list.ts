import type { TokenRecord } from "./token_record.ts";

/** What can still be done with a token. */
export type TokenState = "usable" | "used_up" | "expired" | "revoked";

/** A token as a list shows it: nothing of its secret. */
export interface TokenListing
  extends Omit<TokenRecord, "verifier" | "revokedAtMs"> {
  readonly state: TokenState;
  readonly usesLeft: number;
}

/** How long a token that lets nobody in any more is still listed: a week. */
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

/** The tokens that have been of no use for so long that they can be forgotten. */
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

/** What can be done with a token; the first of revoked, expired and used up that is so. */
export function tokenState(record: TokenRecord, nowMs: number): TokenState {
  if (record.revokedAtMs > 0) return "revoked";
  if (nowMs >= record.expiresAtMs) return "expired";
  return record.used >= record.maxUses ? "used_up" : "usable";
}
