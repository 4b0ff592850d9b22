import type { PeerIdentity, Role } from "./identity.ts";

/** A revocation of certificates. */
export type RevocationRecord =
  | {
    /** One certificate. */
    readonly kind: "serial";
    readonly serial: string;
    readonly revokedAtMs: number;
    /** Why, for people; may be empty. */
    readonly reason: string;
    /** When the certificate expires and the record is no longer needed. */
    readonly untilMs: number;
  }
  | {
    /** All certificates of a name that were signed up to a time. */
    readonly kind: "name";
    readonly role: Role;
    readonly name: string;
    /** The last time. A host that joins again gets a later certificate. */
    readonly issuedUpToMs: number;
    readonly revokedAtMs: number;
    readonly reason: string;
    /** When the last such certificate expires. */
    readonly untilMs: number;
  };

/**
 * The record that revokes a certificate, undefined when none does. Certificates
 * count whole seconds, so one that was signed after a revocation of its name, in
 * the same second, is revoked too.
 */
export function findRevocation(
  records: Iterable<RevocationRecord>,
  identity: PeerIdentity,
): RevocationRecord | undefined {
  for (const record of records) {
    if (covers(record, identity)) return record;
  }
  return undefined;
}

/** The records whose certificates have expired. */
export function expiredRevocations(
  records: Iterable<RevocationRecord>,
  nowMs: number,
): RevocationRecord[] {
  return [...records].filter(({ untilMs }) => untilMs <= nowMs);
}

/**
 * Parses a serial number as people copy it: hexadecimal in either case, with
 * or without colons.
 *
 * @throws {RangeError} when it is none
 */
export function parseSerial(text: string): string {
  const serial = text.replaceAll(":", "").toLowerCase();
  if (/^[0-9a-f]{2,40}$/.test(serial) && serial.length % 2 === 0) return serial;
  throw new RangeError(
    "The serial number is not valid: it has to be 1 to 20 bytes in hexadecimal",
  );
}

function covers(record: RevocationRecord, identity: PeerIdentity): boolean {
  if (record.kind === "serial") return record.serial === identity.serial;
  return record.role === identity.role && record.name === identity.name &&
    identity.issuedAtMs <= record.issuedUpToMs;
}
