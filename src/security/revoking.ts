import { NetError } from "../base/error.ts";
import type { Role } from "./pki/identity.ts";
import type { RevocationRecord } from "./pki/revocation.ts";
import { revocationKey } from "../state/identity_records.ts";
import { type Lifetimes, RENEWAL_GRACE_MS } from "./certificates.ts";
import type { IdentityPlan, IdentityRecords } from "./identity_ledger.ts";

/** One certificate, or all certificates of a name so far. */
export type RevocationTarget =
  | { readonly serial: string }
  | { readonly role: Role; readonly name: string };

/** The result of a revocation. */
export interface Revoked {
  readonly revocation: RevocationRecord;
  /** Number of known, unexpired certificates that it revokes. */
  readonly certificates: number;
}

/** Options of a revocation. */
export interface RevokeOptions {
  /** Why, for people; may be empty. */
  readonly reason: string;
  readonly nowMs: number;
  readonly lifetimes: Lifetimes;
}

/** Plans a revocation. @throws {NetError} `not_found` for an unknown serial number */
export function planRevocation(
  records: IdentityRecords,
  target: RevocationTarget,
  options: RevokeOptions,
): IdentityPlan<Revoked> {
  return "serial" in target
    ? planSerialRevocation(records, target.serial, options)
    : planNameRevocation(records, target, options);
}

/** Revoking a certificate again changes nothing. */
function planSerialRevocation(
  { revocations, issued }: IdentityRecords,
  serial: string,
  { reason, nowMs }: RevokeOptions,
): IdentityPlan<Revoked> {
  const known = revocations.find((record) =>
    record.kind === "serial" && record.serial === serial
  );
  if (known) {
    const answer = { revocation: known, certificates: 1 };
    return { kind: "planned", answer, changes: [] };
  }
  const found = issued.find((record) =>
    record.serial === serial && nowMs < record.notAfterMs
  );
  if (!found) {
    throw new NetError(
      "not_found",
      `Cannot revoke certificate "${serial}": the cluster knows none with that serial number that has not ended; revoke all of its holder by role and name`,
    );
  }
  return planned({
    kind: "serial",
    serial,
    revokedAtMs: nowMs,
    reason,
    untilMs: found.notAfterMs + graceMs(found.role),
  }, 1);
}

/**
 * Revokes every certificate of a name so far, including those that the records
 * do not have because they were issued after a backup. A host of that name
 * that joins again gets a later certificate.
 */
function planNameRevocation(
  records: IdentityRecords,
  { role, name }: { readonly role: Role; readonly name: string },
  { reason, nowMs, lifetimes }: RevokeOptions,
): IdentityPlan<Revoked> {
  const issued = records.issuedTo({ role, name });
  const before = records.nameRevocation(role, name);
  return planned({
    kind: "name",
    role,
    name,
    // The clock of another agent that signs may be ahead.
    issuedUpToMs: Math.max(
      nowMs,
      before?.issuedUpToMs ?? 0,
      ...issued.map(({ issuedAtMs }) => issuedAtMs),
    ),
    revokedAtMs: nowMs,
    reason,
    untilMs: Math.max(
      nowMs + lifetimes[role] + graceMs(role),
      before?.untilMs ?? 0,
      ...issued.map(({ notAfterMs }) => notAfterMs + graceMs(role)),
    ),
  }, issued.filter(({ notAfterMs }) => nowMs < notAfterMs).length);
}

function planned(
  revocation: RevocationRecord,
  certificates: number,
): IdentityPlan<Revoked> {
  const key = revocationKey(revocation);
  return {
    kind: "planned",
    answer: { revocation, certificates },
    changes: [{ kind: "revocation", key, record: revocation }],
  };
}

/** A node can still renew its certificate in a grace period after it has expired. */
function graceMs(role: Role): number {
  return role === "node" ? RENEWAL_GRACE_MS : 0;
}
