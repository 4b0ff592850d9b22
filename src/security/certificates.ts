import { NetError } from "../base/error.ts";
import type { Address } from "../net/address.ts";
import { openAuthority } from "./pki/authority.ts";
import { issueCertificate, type IssuedRecord } from "./pki/certificate.ts";
import {
  AUTHORITY_LIFETIME_MS,
  CERTIFICATE_LIFETIME_MS,
} from "./pki/profile.ts";
import { signingAt, trustedAt } from "./pki/generations.ts";
import type { PeerIdentity, Role } from "./pki/identity.ts";
import { findRevocation, type RevocationRecord } from "./pki/revocation.ts";
import {
  readSigningRequest,
  type SigningRequest,
} from "./pki/signing_request.ts";
import {
  holderKey,
  type IdentityChange,
  issuedKey,
} from "../state/identity_records.ts";
import type { IdentityPlan, IdentityRecords } from "./identity_ledger.ts";

/** The lifetimes of certificates, in ms. */
export type Lifetimes = Readonly<Record<Role, number>>;

/** The content of a certificate, which the authority decides. */
export interface CertificateOrder {
  readonly role: Role;
  readonly name: string;
  /** The addresses of a node's server; empty for operators. */
  readonly addresses: readonly Address[];
  readonly request: SigningRequest;
}

export interface CertificateListing extends IssuedRecord {
  /** Whether it is revoked, or its authority no longer trusted. */
  readonly isRevoked: boolean;
}

/** Default lifetimes: a day, and 30 days for people. */
export const DEFAULT_LIFETIMES: Lifetimes = {
  node: CERTIFICATE_LIFETIME_MS,
  operator: 30 * 24 * 3600_000,
  readonly: 30 * 24 * 3600_000,
};

/** Longest lifetimes of certificates of an operator's own authority. Their revocations are kept as long. */
export const FOREIGN_LIFETIMES: Lifetimes = {
  node: AUTHORITY_LIFETIME_MS,
  operator: AUTHORITY_LIFETIME_MS,
  readonly: AUTHORITY_LIFETIME_MS,
};

/** Grace period in which the expired certificate of a node can still be renewed. */
export const RENEWAL_GRACE_MS = 30 * 24 * 3600_000;

/** The name was revoked in the second in which its new certificate would begin. */
export class RevokedThisSecond extends NetError {}

/**
 * Plans a certificate: signs it, and answers with the chain in PEM.
 *
 * @throws {NetError} {@linkcode RevokedThisSecond} within the second in which
 * the name was revoked, `failed_precondition` when no authority can sign,
 * `invalid_argument` when addresses or names cannot be certified
 */
export function planCertificate(
  records: IdentityRecords,
  order: CertificateOrder,
  { nowMs, lifetimes }: {
    readonly nowMs: number;
    readonly lifetimes: Lifetimes;
  },
): IdentityPlan<string> {
  const { role, name } = order;
  const revocation = records.nameRevocation(role, name);
  // Certificates count whole seconds: this one would be revoked at once.
  if (revocation && toSecond(nowMs) <= revocation.issuedUpToMs) {
    throw new RevokedThisSecond(
      "unavailable",
      `Cannot certify ${role} "${name}": its certificates up to ${
        new Date(revocation.issuedUpToMs).toISOString()
      } are revoked; try again in a second`,
    );
  }
  const authority = openAuthority(signingAt(records.authorities, nowMs));
  try {
    const { chain, record } = issueCertificate(authority, {
      ...order,
      dnsNames: [],
      nowMs,
      lifetimeMs: lifetimes[role],
    });
    const changes: IdentityChange[] = [
      { kind: "issued", key: issuedKey(record), record },
      ...order.addresses.map((address) => ({
        kind: "holder" as const,
        key: holderKey(address),
        record,
      })),
    ];
    const outdated = records.issuedTo(order)
      .sort((a, b) => b.issuedAtMs - a.issuedAtMs)
      .slice(MAX_ISSUED - 1)
      .map((old) => ({
        kind: "issued" as const,
        key: issuedKey(old),
        record: undefined,
      }));
    return {
      kind: "planned",
      answer: chain,
      changes: [...changes, ...outdated],
    };
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new NetError("invalid_argument", cause.message, { cause });
  }
}

/** The certificates that have not expired, by role and name, the latest of a name first. */
export function listCertificates(
  { issued, revocations, authorities }: IdentityRecords,
  nowMs: number,
): CertificateListing[] {
  const trusted = trustedAt(authorities, nowMs)
    .map(({ generation }) => generation);
  return issued
    .filter(({ notAfterMs }) => nowMs < notAfterMs)
    .map((record) => ({
      ...record,
      isRevoked: isRevoked(record, revocations) ||
        !trusted.includes(record.generation),
    }))
    .sort((a, b) =>
      compare(a.role, b.role) || compare(a.name, b.name) ||
      b.issuedAtMs - a.issuedAtMs || compare(a.serial, b.serial)
    );
}

/** Most certificates of a name that are recorded, the latest ones. A revocation by name covers all. */
const MAX_ISSUED = 16;

/** Whether a certificate is revoked, by its serial number or its name. */
export function isRevoked(
  record: IssuedRecord,
  revocations: Iterable<RevocationRecord>,
): boolean {
  return findRevocation(revocations, asPeer(record)) !== undefined;
}

/** Reads a signing request. @throws {NetError} `invalid_argument` when it is not valid */
export function parseSigningRequest(text: string): SigningRequest {
  try {
    return readSigningRequest(text);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new NetError(
      "invalid_argument",
      `Invalid field "signing_request": ${cause.message}`,
      { cause },
    );
  }
}

function toSecond(ms: number): number {
  return Math.floor(ms / 1000) * 1000;
}

/** The fields of a certificate that revocations depend on. */
function asPeer(record: IssuedRecord): PeerIdentity {
  const { role, name, serial, generation, issuedAtMs, notAfterMs } = record;
  return {
    ...{ clusterId: "", role, name, serial, fingerprint: "", generation },
    addresses: [],
    issuedAtMs: toSecond(issuedAtMs),
    notBeforeMs: issuedAtMs,
    notAfterMs,
  };
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
