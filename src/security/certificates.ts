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
import type { Store } from "../store/store.ts";
import {
  holderKey,
  issuedKey,
  type Put,
  putRecord,
  readAuthorities,
  readIssued,
  readNameRevocation,
  readRevocations,
} from "../state/identity_records.ts";

/** How long certificates last, in ms. */
export type Lifetimes = Readonly<Record<Role, number>>;

/** What a certificate is to say, decided by the authority. */
export interface CertificateOrder {
  readonly role: Role;
  readonly name: string;
  /** The addresses that a node's server is reached at; empty for operators. */
  readonly addresses: readonly Address[];
  readonly request: SigningRequest;
}

/** A certificate as a list shows it. */
export interface CertificateListing extends IssuedRecord {
  /** Whether it was revoked, or its authority is not trusted any more. */
  readonly isRevoked: boolean;
}

/** How long certificates last if nothing else is said: a day, and 30 for people. */
export const DEFAULT_LIFETIMES: Lifetimes = {
  node: CERTIFICATE_LIFETIME_MS,
  operator: 30 * 24 * 3600_000,
  readonly: 30 * 24 * 3600_000,
};

/**
 * How long certificates of another authority may last: what is revoked of them
 * is kept as long.
 */
export const FOREIGN_LIFETIMES: Lifetimes = {
  node: AUTHORITY_LIFETIME_MS,
  operator: AUTHORITY_LIFETIME_MS,
  readonly: AUTHORITY_LIFETIME_MS,
};

/** So long after it has ended the certificate of a node may still be renewed. */
export const RENEWAL_GRACE_MS = 30 * 24 * 3600_000;

/**
 * Plans a certificate: signs it, and tells what has to be written with it.
 *
 * @throws {NetError} `unavailable` within the second in which the name was
 * revoked, `failed_precondition` when no authority can sign,
 * `invalid_argument` when addresses or names cannot be certified
 */
export async function planCertificate(
  store: Store,
  order: CertificateOrder,
  { nowMs, lifetimes }: {
    readonly nowMs: number;
    readonly lifetimes: Lifetimes;
  },
): Promise<{ readonly chain: string; readonly puts: readonly Put[] }> {
  const { role, name } = order;
  const revocation = await readNameRevocation(store, role, name);
  // Certificates tell whole seconds: it would be revoked from the start.
  if (revocation && toSecond(nowMs) <= revocation.issuedUpToMs) {
    throw new NetError(
      "unavailable",
      `Cannot certify ${role} "${name}": its certificates up to ${
        new Date(revocation.issuedUpToMs).toISOString()
      } are revoked; try again in a second`,
    );
  }
  const authority = openAuthority(
    signingAt(await readAuthorities(store), nowMs),
  );
  try {
    const { chain, record } = issueCertificate(authority, {
      ...order,
      dnsNames: [],
      nowMs,
      lifetimeMs: lifetimes[role],
    });
    const keys = [issuedKey(record), ...order.addresses.map(holderKey)];
    return { chain, puts: keys.map((key) => putRecord(key, record)) };
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new NetError("invalid_argument", cause.message, { cause });
  }
}

/** The certificates that have not ended, by role and name, the latest of a name first. */
export async function listCertificates(
  store: Store,
  nowMs: number,
): Promise<CertificateListing[]> {
  const revocations = await readRevocations(store);
  const trusted = trustedAt(await readAuthorities(store), nowMs)
    .map(({ generation }) => generation);
  return (await readIssued(store))
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

/** Whether a certificate was revoked, by itself or with its name. */
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

/** What a certificate tells of itself, as far as revocations look at it. */
function asPeer(record: IssuedRecord): PeerIdentity {
  const { role, name, serial, generation, issuedAtMs, notAfterMs } = record;
  return {
    ...{ clusterId: "", role, name, serial, fingerprint: "", generation },
    issuedAtMs: toSecond(issuedAtMs),
    notBeforeMs: issuedAtMs,
    notAfterMs,
  };
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
