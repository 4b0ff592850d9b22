import { type Address, formatAddress } from "../net/address.ts";
import type { AuthorityRecord } from "../security/pki/authority.ts";
import type { IssuedRecord } from "../security/pki/certificate.ts";
import type { Role } from "../security/pki/identity.ts";
import {
  readAuthorityRecord,
  readIssuedRecord,
  readRevocationRecord,
  readTokenRecord,
} from "../security/pki/records.ts";
import {
  type EndorsementRecord,
  readEndorsementRecord,
} from "../security/pki/signed_trust.ts";
import type { RevocationRecord } from "../security/pki/revocation.ts";
import type { TokenRecord } from "../security/pki/token_record.ts";
import type { Change, Entry, JsonValue, Key } from "../store/store.ts";
import { readEntryValue } from "./read_entry.ts";

// Keys and values of certificates, join tokens and authorities.

/** Prefix of all of them. */
export const IDENTITY_PREFIX: Key = ["identity"];
/** Prefix of the records that verify certificates: authorities and revocations. */
const TRUST_PREFIX: Key = ["identity", "trust"];
/** Key of the counter that every change below {@linkcode IDENTITY_PREFIX} raises. */
export const IDENTITY_REVISION_KEY: Key = ["identity", "revision"];
/** Prefix of the authorities, by generation. */
const AUTHORITY_PREFIX: Key = [...TRUST_PREFIX, "authority"];
const REVOCATION_PREFIX: Key = [...TRUST_PREFIX, "revocation"];
/** Prefix of the join tokens, by id. */
const TOKEN_PREFIX: Key = ["identity", "token"];
/** Prefix of the issued certificates, by role, name and serial number. */
const ISSUED_PREFIX: Key = ["identity", "issued"];
/** Prefix of the latest certificate for each address. */
const HOLDER_PREFIX: Key = ["identity", "holder"];
/** Prefix of the endorsements, by generation of the endorsed authority. */
const ENDORSEMENT_PREFIX: Key = ["identity", "endorsement"];

/** The records below {@linkcode IDENTITY_PREFIX}, by kind. */
export interface IdentityTables {
  readonly authority: AuthorityRecord;
  readonly revocation: RevocationRecord;
  readonly token: TokenRecord;
  readonly issued: IssuedRecord;
  /** The latest certificate for an address. */
  readonly holder: IssuedRecord;
  /** The endorsement of an authority by the previous one. */
  readonly endorsement: EndorsementRecord;
}

/** A kind of record. */
export type IdentityKind = keyof IdentityTables;

/** A write of a record, or without a record the removal of one. All records are plain JSON. */
export type IdentityChange = {
  [K in IdentityKind]: {
    readonly kind: K;
    readonly key: Key;
    readonly record: IdentityTables[K] | undefined;
  };
}[IdentityKind];

const TABLES: {
  readonly [K in IdentityKind]: {
    readonly prefix: Key;
    readonly read: (value: unknown) => IdentityTables[K];
  };
} = {
  authority: { prefix: AUTHORITY_PREFIX, read: readAuthorityRecord },
  revocation: { prefix: REVOCATION_PREFIX, read: readRevocationRecord },
  token: { prefix: TOKEN_PREFIX, read: readTokenRecord },
  issued: { prefix: ISSUED_PREFIX, read: readIssuedRecord },
  holder: { prefix: HOLDER_PREFIX, read: readIssuedRecord },
  endorsement: { prefix: ENDORSEMENT_PREFIX, read: readEndorsementRecord },
};

export function authorityKey(generation: number): Key {
  return [...AUTHORITY_PREFIX, generation];
}

/** Key of the endorsement of an authority. */
export function endorsementKey(generation: number): Key {
  return [...ENDORSEMENT_PREFIX, generation];
}

/** Key of a join token. */
export function tokenKey(id: string): Key {
  return [...TOKEN_PREFIX, id];
}

/** Key of an issued certificate. */
export function issuedKey({ role, name, serial }: IssuedRecord): Key {
  return [...ISSUED_PREFIX, role, name, serial];
}

/** Key of the latest certificate for an address. */
export function holderKey(address: Address): Key {
  return [...HOLDER_PREFIX, formatAddress(address)];
}

/** Key of the revocation of all certificates of a name. */
export function nameRevocationKey(role: Role, name: string): Key {
  return [...REVOCATION_PREFIX, "name", role, name];
}

export function revocationKey(record: RevocationRecord): Key {
  return record.kind === "serial"
    ? [...REVOCATION_PREFIX, "serial", record.serial]
    : nameRevocationKey(record.role, record.name);
}

/**
 * Reads an entry or a change below {@linkcode IDENTITY_PREFIX}; undefined for
 * the counter.
 *
 * @throws {NetError} `failed_precondition` when the record is damaged
 */
export function readIdentityEntry(
  { key, value, version }: Change,
): IdentityChange | undefined {
  const kind = (Object.keys(TABLES) as IdentityKind[])
    .find((one) => isBelow(TABLES[one].prefix, key));
  if (kind === undefined) return undefined;
  const record = value === null
    ? undefined
    : readEntryValue<IdentityTables[IdentityKind]>(
      { key, value, version },
      TABLES[kind].read,
    );
  return { kind, key, record } as IdentityChange;
}

/** Whether a key is that of a join token. */
export function isTokenKey(key: Key): boolean {
  return key.length === TOKEN_PREFIX.length + 1 && isBelow(TOKEN_PREFIX, key);
}

/**
 * The value with which a backup restores a join token: revoked, because nobody
 * knows how often it has been used since.
 *
 * @param revokedAtMs time of the revocation, unless it was revoked before
 */
export function revokedToken(entry: Entry, revokedAtMs: number): JsonValue {
  const record = readEntryValue(entry, readTokenRecord);
  const revokedMs = record.revokedAtMs || Math.max(1, revokedAtMs);
  return { ...record, revokedAtMs: revokedMs } as unknown as JsonValue;
}

function isBelow(prefix: Key, key: Key): boolean {
  return prefix.every((part, i) => part === key[i]);
}
