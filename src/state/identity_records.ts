import { NetError } from "../base/error.ts";
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

/** How identities are stored: keys, and values as JSON. */

/** Prefix of everything about identities. */
export const IDENTITY_PREFIX: Key = ["identity"];
/** Prefix of what others are checked with: authorities and revocations. */
export const TRUST_PREFIX: Key = ["identity", "trust"];
/** Key of the counter that every change of identities raises. */
export const IDENTITY_REVISION_KEY: Key = ["identity", "revision"];
/** Prefix of the authorities, by generation. */
export const AUTHORITY_PREFIX: Key = [...TRUST_PREFIX, "authority"];
/** Prefix of the revocations. */
export const REVOCATION_PREFIX: Key = [...TRUST_PREFIX, "revocation"];
/** Prefix of the join tokens, by id. */
export const TOKEN_PREFIX: Key = ["identity", "token"];
/** Prefix of the certificates that were issued, by role, name and serial number. */
export const ISSUED_PREFIX: Key = ["identity", "issued"];
/** Prefix of the latest certificates that are for an address, by address. */
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

/** Key of a certificate that was issued. */
export function issuedKey({ role, name, serial }: IssuedRecord): Key {
  return [...ISSUED_PREFIX, role, name, serial];
}

/** Key of the latest certificate that is for an address. */
export function holderKey(address: Address): Key {
  return [...HOLDER_PREFIX, formatAddress(address)];
}

/** Key of the revocation of all certificates that a name has so far. */
export function nameRevocationKey(role: Role, name: string): Key {
  return [...REVOCATION_PREFIX, "name", role, name];
}

/** Key of a revocation. */
export function revocationKey(record: RevocationRecord): Key {
  return record.kind === "serial"
    ? [...REVOCATION_PREFIX, "serial", record.serial]
    : nameRevocationKey(record.role, record.name);
}

/** The write of a record: those are plain JSON as they are. */
export function putRecord(
  key: Key,
  record: AuthorityRecord | IssuedRecord | RevocationRecord | TokenRecord,
): Put {
  return { key, value: record as unknown as JsonValue };
}

/** The authorities that are stored, keys included, the oldest first. */
export function readAuthorities(store: Store): Promise<AuthorityRecord[]> {
  return readAll(store, AUTHORITY_PREFIX, readAuthorityRecord);
}

/** The revocations that are stored. */
export function readRevocations(store: Store): Promise<RevocationRecord[]> {
  return readAll(store, REVOCATION_PREFIX, readRevocationRecord);
}

/** The join tokens that are stored. */
export function readTokens(store: Store): Promise<TokenRecord[]> {
  return readAll(store, TOKEN_PREFIX, readTokenRecord);
}

/** The certificates that were issued, by role and name; of one name alone if one is given. */
export function readIssued(
  store: Store,
  { role, name }: { readonly role?: Role; readonly name?: string } = {},
): Promise<IssuedRecord[]> {
  const below = role !== undefined && name !== undefined ? [role, name] : [];
  return readAll(store, [...ISSUED_PREFIX, ...below], readIssuedRecord);
}

/** The latest certificate that is for an address; undefined when none is. */
export async function readHolder(
  store: Store,
  address: Address,
): Promise<IssuedRecord | undefined> {
  const entry = await store.get(holderKey(address));
  return entry ? read(entry, readIssuedRecord) : undefined;
}

/** The addresses whose latest certificate has ended. */
export async function readEndedHolders(
  store: Store,
  nowMs: number,
): Promise<Key[]> {
  const ended: Key[] = [];
  for await (const entry of store.list(HOLDER_PREFIX)) {
    if (read(entry, readIssuedRecord).notAfterMs <= nowMs) {
      ended.push(entry.key);
    }
  }
  return ended;
}

/** A join token, undefined when there is none with that id. */
export async function readToken(
  store: Store,
  id: string,
): Promise<TokenRecord | undefined> {
  const entry = await store.get(tokenKey(id));
  return entry ? read(entry, readTokenRecord) : undefined;
}

/** The revocation of a name, undefined when it has none. */
export async function readNameRevocation(
  store: Store,
  role: Role,
  name: string,
): Promise<RevocationRecord & { kind: "name" } | undefined> {
  const entry = await store.get(nameRevocationKey(role, name));
  const record = entry && read(entry, readRevocationRecord);
  return record?.kind === "name" ? record : undefined;
}

/** Reads an entry below {@linkcode TRUST_PREFIX}. */
export function readTrustEntry(
  entry: Entry,
): { readonly authority: AuthorityRecord } | {
  readonly revocation: RevocationRecord;
} {
  return entry.key[2] === AUTHORITY_PREFIX[2]
    ? { authority: read(entry, readAuthorityRecord) }
    : { revocation: read(entry, readRevocationRecord) };
}

/** Whether a key is that of a join token. */
export function isTokenKey(key: Key): boolean {
  return key.length === TOKEN_PREFIX.length + 1 &&
    TOKEN_PREFIX.every((part, i) => part === key[i]);
}

/**
 * What a join token is restored with from a backup: it is revoked, for nobody
 * knows how often it was used since.
 *
 * @param revokedAtMs since when it lets nobody in, unless it was revoked before
 */
export function revokedToken(entry: Entry, revokedAtMs: number): JsonValue {
  const record = read(entry, readTokenRecord);
  const revoked = {
    ...record,
    revokedAtMs: record.revokedAtMs || Math.max(1, revokedAtMs),
  };
  return putRecord(entry.key, revoked).value;
}

async function readAll<T>(
  store: Store,
  prefix: Key,
  reader: (value: unknown) => T,
): Promise<T[]> {
  const records: T[] = [];
  for await (const entry of store.list(prefix)) {
    records.push(read(entry, reader));
  }
  return records;
}

function read<T>(entry: Entry, reader: (value: unknown) => T): T {
  try {
    return reader(entry.value);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    // It quotes no value: it may be a key.
    throw new NetError(
      "failed_precondition",
      `Cannot read ${
        JSON.stringify(entry.key)
      } from the store: ${cause.message}; restore the state from a backup, or use the program that wrote it`,
      { cause },
    );
  }
}
