import { NetError } from "../../base/error.ts";
import { type Planned, type Refusal, refuse } from "../../base/plan.ts";
import type { AuthorityRecord, TrustRecord } from "./authority.ts";

/**
 * The authorities of a cluster, one a generation. A rotation makes the next:
 * at once every host is told to trust it, after a while it signs instead of
 * the one before, and after another while that is trusted no longer.
 */

/** A change of the authorities that are stored. */
export type AuthorityChange =
  | { readonly kind: "put"; readonly record: AuthorityRecord }
  | { readonly kind: "remove"; readonly generation: number };

/** How the next authority takes over. */
export interface Rotation {
  /** Made by `createAuthority` for the next generation; it says when it signs. */
  readonly next: AuthorityRecord;
  readonly nowMs: number;
  /** How long what the one before signed is accepted after that: at least the lifetime of a certificate. */
  readonly overlapMs: number;
}

/** What every host may know of an authority: all but its key. */
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

/** The certificates that are trusted at a time, in PEM: what TLS takes as `ca`. Empty for none. */
export function formatTrust(
  records: readonly TrustRecord[],
  nowMs: number,
): string {
  return trustedAt(records, nowMs).map(({ certificate }) => certificate)
    .join("");
}

/**
 * The authority that signs at a time: the latest whose time has come.
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
 * Plans that the next authority takes over. Refused while an earlier rotation
 * is not through: its authority does not sign yet.
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
 * Plans what time has brought: an authority that another has taken over from
 * gives up its key, and one that is not trusted any more is forgotten.
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
