import { NetError } from "../../base/error.ts";
import { type Planned, type Refusal, refuse } from "../../base/plan.ts";
import type { AuthorityRecord, TrustRecord } from "./authority.ts";

/**
 * The authorities of a cluster, one for each generation. A rotation makes the
 * next one: every host trusts it at once, after a while it signs in place of
 * the previous one, and after another while nobody trusts that any more.
 */

/** A change of the stored authorities. */
export type AuthorityChange =
  | { readonly kind: "put"; readonly record: AuthorityRecord }
  | { readonly kind: "remove"; readonly generation: number };

/** The facts that a rotation starts from. */
export interface Rotation {
  /** The authority of the next generation, with the time when it begins to sign. */
  readonly next: AuthorityRecord;
  readonly nowMs: number;
  /** Time after that in which hosts accept certificates of the previous one: at least the lifetime of a certificate. */
  readonly overlapMs: number;
}

/** An authority without its private key. */
export function publicPart(record: AuthorityRecord): TrustRecord {
  const { privateKey: _, ...trust } = record;
  return trust;
}

/** The authorities that are trusted at a time, the oldest first. */
export function trustedAt<T extends TrustRecord>(
  records: readonly T[],
  nowMs: number,
): T[] {
  return records.filter(({ trustedUntilMs }) => nowMs < trustedUntilMs)
    .sort((a, b) => a.generation - b.generation);
}

/** The certificates of the authorities that are trusted at a time, in PEM, as TLS takes them for `ca`. Empty for none. */
export function formatTrust(
  records: readonly TrustRecord[],
  nowMs: number,
): string {
  return trustedAt(records, nowMs).map(({ certificate }) => certificate)
    .join("");
}

/**
 * The authority that signs at a time: the latest one that has begun to.
 *
 * @throws {NetError} `failed_precondition` when there is none
 */
export function signingAt(
  records: readonly AuthorityRecord[],
  nowMs: number,
): AuthorityRecord {
  const record = trustedAt(records, nowMs).findLast(
    ({ signsFromMs, privateKey }) => signsFromMs <= nowMs && privateKey !== "",
  );
  if (record) return record;
  throw new NetError(
    "failed_precondition",
    `Cannot sign a certificate: none of the ${records.length} authorities of the cluster is trusted now and has its key`,
  );
}

/**
 * Plans a rotation. Refused while the authority of an earlier rotation does
 * not sign yet.
 */
export function planRotation(
  records: readonly AuthorityRecord[],
  rotation: Rotation,
): Planned<AuthorityRecord, AuthorityChange> | Refusal {
  const { next, nowMs, overlapMs } = rotation;
  const what = "Cannot rotate the authority";
  const latest = trustedAt(records, nowMs).at(-1);
  if (!latest) {
    return refuse("failed_precondition", `${what}: none is trusted now`);
  }
  if (latest.signsFromMs > nowMs) {
    return refuse(
      "failed_precondition",
      `${what}: generation ${latest.generation} is to sign from ${
        timestamp(latest.signsFromMs)
      } on, wait for that`,
    );
  }
  if (next.clusterId !== latest.clusterId) {
    return refuse(
      "invalid_argument",
      `${what}: the next one is of cluster "${next.clusterId}", not "${latest.clusterId}"`,
    );
  }
  if (next.generation !== latest.generation + 1) {
    return refuse(
      "invalid_argument",
      `${what}: the next one is generation ${next.generation}, and ${
        latest.generation + 1
      } is next`,
    );
  }
  const untilMs = Math.max(next.signsFromMs, nowMs) + overlapMs;
  const outgoing = trustedAt(records, nowMs).map((record) => ({
    ...record,
    trustedUntilMs: Math.min(record.trustedUntilMs, untilMs),
  }));
  return {
    kind: "planned",
    answer: next,
    changes: [next, ...outgoing]
      .map((record) => ({ kind: "put" as const, record })),
  };
}

/**
 * Plans to delete the keys of authorities that no longer sign, and the
 * authorities that are no longer trusted.
 */
export function planRetirement(
  records: readonly AuthorityRecord[],
  nowMs: number,
): AuthorityChange[] {
  const signing = Math.max(
    0,
    ...trustedAt(records, nowMs)
      .filter(({ signsFromMs }) => signsFromMs <= nowMs)
      .map(({ generation }) => generation),
  );
  return records.flatMap((record): AuthorityChange[] => {
    const { generation, trustedUntilMs, privateKey } = record;
    if (trustedUntilMs <= nowMs) return [{ kind: "remove", generation }];
    if (generation >= signing || privateKey === "") return [];
    return [{ kind: "put", record: { ...record, privateKey: "" } }];
  });
}

function timestamp(atMs: number): string {
  return new Date(atMs).toISOString();
}
