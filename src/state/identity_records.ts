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
import type { RevocationRecord } from "../security/pki/revocation.ts";
import type { TokenRecord } from "../security/pki/token_record.ts";
import type { Entry, JsonValue, Key, Store } from "../store/store.ts";
import { readEntryValue } from "./read_entry.ts";

// Keys and values of certificates, join tokens and authorities.

/** Prefix of all of them. */
export const IDENTITY_PREFIX: Key = ["identity"];
/** Prefix of the records that verify certificates: authorities and revocations. */
export const TRUST_PREFIX: Key = ["identity", "trust"];
/** Key of the counter that every change below {@linkcode IDENTITY_PREFIX} raises. */
export const IDENTITY_REVISION_KEY: Key = ["identity", "revision"];
/** Prefix of the authorities, by generation. */
export const AUTHORITY_PREFIX: Key = [...TRUST_PREFIX, "authority"];
/** Prefix of the revocations. */
export const REVOCATION_PREFIX: Key = [...TRUST_PREFIX, "revocation"];
/** Prefix of the join tokens, by id. */
export const TOKEN_PREFIX: Key = ["identity", "token"];
/** Prefix of the issued certificates, by role, name and serial number. */
export const ISSUED_PREFIX: Key = ["identity", "issued"];
/** Prefix of the latest certificate for each address. */
export const HOLDER_PREFIX: Key = ["identity", "holder"];

/** A write of a record. */
export interface Put {
  readonly key: Key;
  readonly value: JsonValue;
}

/** Key of an authority. */
export function authorityKey(generation: number): Key {
  return [...AUTHORITY_PREFIX, generation];
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

/** Key of a revocation. */
export function revocationKey(record: RevocationRecord): Key {
  return record.kind === "serial"
    ? [...REVOCATION_PREFIX, "serial", record.serial]
    : nameRevocationKey(record.role, record.name);
}

/** The write of a record, all of which are plain JSON. */
export function putRecord(
  key: Key,
  record: AuthorityRecord | IssuedRecord | RevocationRecord | TokenRecord,
): Put {
  return { key, value: record as unknown as JsonValue };
}

/** The stored authorities with their keys, the oldest first. */
export function readAuthorities(store: Store): Promise<AuthorityRecord[]> {
  return readAll(store, AUTHORITY_PREFIX, readAuthorityRecord);
}

/** The stored revocations. */
export function readRevocations(store: Store): Promise<RevocationRecord[]> {
  return readAll(store, REVOCATION_PREFIX, readRevocationRecord);
}

/** The stored join tokens. */
export function readTokens(store: Store): Promise<TokenRecord[]> {
  return readAll(store, TOKEN_PREFIX, readTokenRecord);
}

/** The issued certificates, by role and name: all of them, or those of one name. */
export function readIssued(
  store: Store,
  { role, name }: { readonly role?: Role; readonly name?: string } = {},
): Promise<IssuedRecord[]> {
  const below = role !== undefined && name !== undefined ? [role, name] : [];
  return readAll(store, [...ISSUED_PREFIX, ...below], readIssuedRecord);
}

/** The latest certificate for an address, undefined when there is none. */
export async function readHolder(
  store: Store,
  address: Address,
): Promise<IssuedRecord | undefined> {
  const entry = await store.get(holderKey(address));
  return entry ? readEntryValue(entry, readIssuedRecord) : undefined;
}

/** The keys of the addresses whose latest certificate has expired. */
export async function readExpiredHolders(
  store: Store,
  nowMs: number,
): Promise<Key[]> {
  const expired: Key[] = [];
  for await (const entry of store.list(HOLDER_PREFIX)) {
    if (readEntryValue(entry, readIssuedRecord).notAfterMs <= nowMs) {
      expired.push(entry.key);
    }
  }
  return expired;
}

/** A join token, undefined when there is none with that id. */
export async function readToken(
  store: Store,
  id: string,
): Promise<TokenRecord | undefined> {
  const entry = await store.get(tokenKey(id));
  return entry ? readEntryValue(entry, readTokenRecord) : undefined;
}

/** The revocation of a name, undefined when it has none. */
export async function readNameRevocation(
  store: Store,
  role: Role,
  name: string,
): Promise<RevocationRecord & { kind: "name" } | undefined> {
  const entry = await store.get(nameRevocationKey(role, name));
  const record = entry && readEntryValue(entry, readRevocationRecord);
  return record?.kind === "name" ? record : undefined;
}

/** Reads an entry below {@linkcode TRUST_PREFIX}. */
export function readTrustEntry(
  entry: Entry,
): { readonly authority: AuthorityRecord } | {
  readonly revocation: RevocationRecord;
} {
  return entry.key[2] === AUTHORITY_PREFIX[2]
    ? { authority: readEntryValue(entry, readAuthorityRecord) }
    : { revocation: readEntryValue(entry, readRevocationRecord) };
}

/** Whether a key is that of a join token. */
export function isTokenKey(key: Key): boolean {
  return key.length === TOKEN_PREFIX.length + 1 &&
    TOKEN_PREFIX.every((part, i) => part === key[i]);
}

/**
 * The value with which a backup restores a join token: revoked, because nobody
 * knows how often it has been used since.
 *
 * @param revokedAtMs time of the revocation, unless it was revoked before
 */
export function revokedToken(entry: Entry, revokedAtMs: number): JsonValue {
  const record = readEntryValue(entry, readTokenRecord);
  const revoked = {
    ...record,
    revokedAtMs: record.revokedAtMs || Math.max(1, revokedAtMs),
  };
  return putRecord(entry.key, revoked).value;
}

async function readAll<T>(
  store: Store,
  prefix: Key,
  read: (value: unknown) => T,
): Promise<T[]> {
  const records: T[] = [];
  for await (const entry of store.list(prefix)) {
    records.push(readEntryValue(entry, read));
  }
  return records;
}
