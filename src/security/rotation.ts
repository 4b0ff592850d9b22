import { NetError } from "../base/error.ts";
import {
  authorityKey,
  endorsementKey,
  type IdentityChange,
  issuedKey,
  revocationKey,
  tokenKey,
} from "../state/identity_records.ts";
import type { Lifetimes } from "./certificates.ts";
import type { IdentityPlan, IdentityRecords } from "./identity_ledger.ts";
import { createAuthority, type TrustRecord } from "./pki/authority.ts";
import {
  type AuthorityChange,
  planRetirement,
  planRotation,
  publicPart,
  signingAt,
} from "./pki/generations.ts";
import { BACKDATE_MS } from "./pki/profile.ts";
import { expiredRevocations } from "./pki/revocation.ts";
import { endorse } from "./pki/signed_trust.ts";
import { forgottenTokens } from "./pki/token_record.ts";

/** Options of a rotation. */
export interface RotateOptions {
  /**
   * Time in ms in which hosts learn of the next authority before it signs.
   * Default: 30 days, so that a host can be off for that long.
   */
  readonly announceMs?: number;
  /**
   * Time in ms after that in which hosts accept certificates of the previous
   * authority. Default: the longest lifetime of a certificate, and a day.
   */
  readonly overlapMs?: number;
  /**
   * Whether the key may be stolen. Then all earlier certificates become
   * invalid at once, without announcement and overlap.
   */
  readonly isCompromised?: boolean;
}

/** The records and times that the plans of this file need. */
interface Rotated {
  readonly records: IdentityRecords;
  readonly clusterId: string;
  readonly nowMs: number;
}

const DAY_MS = 24 * 3600_000;
const DEFAULT_ANNOUNCE_MS = 30 * DAY_MS;
const MAX_ANNOUNCE_MS = 366 * DAY_MS;
const MAX_OVERLAP_MS = 366 * DAY_MS;
/** Most records that one commit removes. */
const MAX_REMOVED = 200;

/**
 * Plans the next authority.
 *
 * @throws {NetError} `invalid_argument` naming the field,
 * `failed_precondition` while an earlier rotation is in progress
 */
export function planNextAuthority(
  rotated: Rotated & { readonly lifetimes: Lifetimes },
  options: RotateOptions,
): IdentityPlan<TrustRecord> {
  if (options.isCompromised) return planReplacement(rotated, options);
  const { records: { authorities }, clusterId, nowMs, lifetimes } = rotated;
  const longestMs = Math.max(...Object.values(lifetimes));
  const { announceMs = DEFAULT_ANNOUNCE_MS, overlapMs = longestMs + DAY_MS } =
    options;
  checkRange("announce", announceMs, { min: 0, max: MAX_ANNOUNCE_MS });
  checkRange("overlap", overlapMs, { min: longestMs, max: MAX_OVERLAP_MS });
  const next = createAuthority({
    clusterId,
    generation: nextGeneration(authorities),
    nowMs,
    signsFromMs: nowMs + announceMs,
  });
  const plan = planRotation(authorities, { next, nowMs, overlapMs });
  if (plan.kind === "refused") throw new NetError(plan.code, plan.message);
  const { generation } = next;
  return {
    kind: "planned",
    answer: publicPart(plan.answer),
    changes: [...plan.changes.map(stored), {
      kind: "endorsement",
      key: endorsementKey(generation),
      record: endorse(signingAt(authorities, nowMs), next),
    }],
  };
}

/** Plans an authority in place of all others. */
function planReplacement(
  { records: { authorities }, clusterId, nowMs }: Rotated,
  options: RotateOptions,
): IdentityPlan<TrustRecord> {
  for (const field of ["announce", "overlap"] as const) {
    if (options[`${field}Ms`] === undefined) continue;
    throw new NetError(
      "invalid_argument",
      `Cannot replace a compromised authority: field "${field}" is set, and nothing that it signed is trusted any more; leave it out`,
    );
  }
  const generation = nextGeneration(authorities);
  const next = createAuthority({ clusterId, generation, nowMs });
  const removals = authorities
    .map(({ generation }) => ({ kind: "remove" as const, generation }));
  return {
    kind: "planned",
    answer: publicPart(next),
    changes: [{ kind: "put" as const, record: next }, ...removals].map(stored),
  };
}

/** Plans the first authority, if there is none. Answers whether it makes one. */
export function planFirstAuthority(
  { records, clusterId, nowMs }: Rotated,
): IdentityPlan<boolean> {
  if (records.authorities.length > 0) {
    return { kind: "planned", answer: false, changes: [] };
  }
  const record = createAuthority({ clusterId, nowMs });
  return {
    kind: "planned",
    answer: true,
    changes: [stored({ kind: "put", record })],
  };
}

/**
 * Plans to delete keys of authorities that no longer sign, and expired
 * records. Answers whether there may be more to delete.
 */
export function planTidying(
  records: IdentityRecords,
  nowMs: number,
): IdentityPlan<boolean> {
  // An agent whose clock is behind signs with the previous authority for a while.
  const retired = planRetirement(records.authorities, nowMs - BACKDATE_MS);
  const expired: IdentityChange[] = [
    ...expiredRevocations(records.revocations, nowMs).map((record) => ({
      kind: "revocation" as const,
      key: revocationKey(record),
      record: undefined,
    })),
    ...forgottenTokens(records.tokens, nowMs).map(({ id }) => ({
      kind: "token" as const,
      key: tokenKey(id),
      record: undefined,
    })),
    ...records.issued.filter(({ notAfterMs }) => notAfterMs <= nowMs)
      .map((record) => ({
        kind: "issued" as const,
        key: issuedKey(record),
        record: undefined,
      })),
    ...records.expiredHolders(nowMs),
    ...records.endorsements.filter(({ generation }) =>
      !records.authorities.some((one) => one.generation === generation)
    ).map(({ generation }) => ({
      kind: "endorsement" as const,
      key: endorsementKey(generation),
      record: undefined,
    })),
  ];
  return {
    kind: "planned",
    answer: expired.length > MAX_REMOVED,
    changes: [...retired.map(stored), ...expired.slice(0, MAX_REMOVED)],
  };
}

function nextGeneration(records: readonly TrustRecord[]): number {
  return Math.max(0, ...records.map(({ generation }) => generation)) + 1;
}

function stored(change: AuthorityChange): IdentityChange {
  const isPut = change.kind === "put";
  const generation = isPut ? change.record.generation : change.generation;
  return {
    kind: "authority",
    key: authorityKey(generation),
    record: isPut ? change.record : undefined,
  };
}

function checkRange(
  field: "announce" | "overlap",
  ms: number,
  { min, max }: { readonly min: number; readonly max: number },
): void {
  if (ms >= min && ms <= max) return;
  throw new NetError(
    "invalid_argument",
    `Cannot rotate the authority: field "${field}" is ${
      ms / 1000
    } s, and has to be ${min / 1000} s to ${max / 1000} s`,
  );
}
