import { NetError } from "../base/error.ts";
import type { Role } from "./pki/identity.ts";
import type { RevocationRecord } from "./pki/revocation.ts";
import type { Store } from "../store/store.ts";
import { type Lifetimes, RENEWAL_GRACE_MS } from "./certificates.ts";
import {
  putRecord,
  readIssued,
  readNameRevocation,
  readRevocations,
  revocationKey,
} from "../state/identity_records.ts";
import type { PlannedWrites } from "./transaction.ts";

/** What is revoked: one certificate, or all that a name has so far. */
export type RevocationTarget =
  | { readonly serial: string }
  | { readonly role: Role; readonly name: string };

/** What was revoked. */
export interface Revoked {
  readonly revocation: RevocationRecord;
  /** How many certificates that have not ended it is known to revoke. */
  readonly certificates: number;
}

/** What a revocation is planned with. */
export interface RevokeOptions {
  /** Why, for people; may be empty. */
  readonly reason: string;
  readonly nowMs: number;
  readonly lifetimes: Lifetimes;
}

/** Plans a revocation. @throws {NetError} `not_found` for a serial number that is not known */
export function planRevocation(
  store: Store,
  target: RevocationTarget,
  options: RevokeOptions,
): Promise<PlannedWrites<Revoked>> {
  return "serial" in target
    ? planSerialRevocation(store, target.serial, options)
    : planNameRevocation(store, target, options);
}

/**
 * Plans that one certificate is not accepted any more. Revoking it again
 * changes nothing.
 *
 * @throws {NetError} `not_found` when none that has not ended has the serial number
 */
async function planSerialRevocation(
  store: Store,
  serial: string,
  { reason, nowMs }: RevokeOptions,
): Promise<PlannedWrites<Revoked>> {
  const known = (await readRevocations(store)).find((record) =>
    record.kind === "serial" && record.serial === serial
  );
  if (known) return { answer: { revocation: known, certificates: 1 } };
  const issued = (await readIssued(store)).find((record) =>
    record.serial === serial && nowMs < record.notAfterMs
  );
  if (!issued) {
    throw new NetError(
      "not_found",
      `Cannot revoke certificate "${serial}": the cluster knows none with that serial number that has not ended; revoke all of its holder by role and name`,
    );
  }
  const revocation: RevocationRecord = {
    kind: "serial",
    serial,
    revokedAtMs: nowMs,
    reason,
    untilMs: issued.notAfterMs + graceMs(issued.role),
  };
  return {
    answer: { revocation, certificates: 1 },
    puts: [putRecord(revocationKey(revocation), revocation)],
  };
}

/**
 * Plans that no certificate that a name has so far is accepted any more; also
 * those that are not known here: what was signed after a backup that was
 * restored. A host of that name that joins again gets a later one.
 */
async function planNameRevocation(
  store: Store,
  { role, name }: { readonly role: Role; readonly name: string },
  { reason, nowMs, lifetimes }: RevokeOptions,
): Promise<PlannedWrites<Revoked>> {
  const issued = await readIssued(store, { role, name });
  const before = await readNameRevocation(store, role, name);
  const revocation: RevocationRecord = {
    kind: "name",
    role,
    name,
    // The clock of another host that signs may be ahead.
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
  };
  return {
    answer: {
      revocation,
      certificates:
        issued.filter(({ notAfterMs }) => nowMs < notAfterMs).length,
    },
    puts: [putRecord(revocationKey(revocation), revocation)],
  };
}

/** A node's certificate is of use for a while after its end: to be renewed. */
function graceMs(role: Role): number {
  return role === "node" ? RENEWAL_GRACE_MS : 0;
}
