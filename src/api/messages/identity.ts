import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type Timestamp,
  timestampFromMs,
  timestampMs,
} from "@bufbuild/protobuf/wkt";
import {
  type Authority as AuthorityMessage,
  AuthoritySchema,
  type CertificateSchema,
  type CredentialsSchema,
  type Revocation as RevocationMessage,
  RevocationSchema,
  Role as RoleMessage,
  type TokenSchema,
  TokenState,
  type Trust as TrustMessage,
  TrustSchema,
} from "../../gen/stellar/net/v1/identity_pb.ts";
import type { CertificateListing } from "../../security/certificates.ts";
import type { ListedToken } from "../../security/join_tokens.ts";
import type { Credentials, Trust } from "../../security/trust.ts";
import type { TrustRecord } from "../../security/pki/authority.ts";
import type { Role } from "../../security/pki/identity.ts";
import {
  readRevocationRecord,
  readTrustRecord,
} from "../../security/pki/records.ts";
import type { RevocationRecord } from "../../security/pki/revocation.ts";

const ROLES: Readonly<Record<Role, RoleMessage>> = {
  node: RoleMessage.NODE,
  operator: RoleMessage.OPERATOR,
  readonly: RoleMessage.READONLY,
};

const TOKEN_STATES: Readonly<Record<ListedToken["state"], TokenState>> = {
  usable: TokenState.USABLE,
  used_up: TokenState.USED_UP,
  expired: TokenState.EXPIRED,
  revoked: TokenState.REVOKED,
  superseded: TokenState.SUPERSEDED,
};

export function roleMessage(role: Role): RoleMessage {
  return ROLES[role];
}

/** Reads a role; undefined when it is not set. @throws {RangeError} for an unknown one */
export function readRole(message: RoleMessage): Role | undefined {
  if (message === RoleMessage.UNSPECIFIED) return undefined;
  for (const [role, value] of Object.entries(ROLES)) {
    if (value === message) return role as Role;
  }
  throw new RangeError(`${message} is not a role that this version knows`);
}

export function trustMessage(trust: Trust): TrustMessage {
  return create(TrustSchema, {
    authorities: trust.authorities.map(authorityMessage),
    revocations: trust.revocations.map(revocationMessage),
    statement: trust.signed?.statement ?? "",
    signatures: [...trust.signed?.signatures ?? []],
  });
}

/** Reads the message of trust, as strictly as the stored record.
 *
 * @throws {RangeError} when it is not valid
 */
export function readTrust(message: TrustMessage): Trust {
  const { statement, signatures } = message;
  return {
    authorities: message.authorities.map(readAuthority),
    revocations: message.revocations.map(readRevocation),
    ...(statement !== "" && {
      signed: {
        statement,
        signatures: signatures.map(({ generation, signature }) => ({
          generation,
          signature: new Uint8Array(signature),
        })),
      },
    }),
  };
}

export function authorityMessage(record: TrustRecord): AuthorityMessage {
  const { signsFromMs, trustedUntilMs, ...rest } = record;
  return create(AuthoritySchema, {
    ...rest,
    signsFrom: timestampFromMs(signsFromMs),
    trustedUntil: timestampFromMs(trustedUntilMs),
  });
}

export function revocationMessage(record: RevocationRecord): RevocationMessage {
  const { revokedAtMs, untilMs, reason } = record;
  return create(RevocationSchema, {
    revokedAt: timestampFromMs(revokedAtMs),
    until: timestampFromMs(untilMs),
    reason,
    ...record.kind === "serial" ? { serial: record.serial } : {
      role: roleMessage(record.role),
      name: record.name,
      issuedUpTo: timestampFromMs(record.issuedUpToMs),
    },
  });
}

/** The message of new credentials. */
export function credentialsMessage(
  { chain, trust }: Credentials,
): MessageInitShape<typeof CredentialsSchema> {
  return { chain, trust: trustMessage(trust) };
}

/** The message of a join token, without its secret. */
export function tokenMessage(
  token: ListedToken,
): MessageInitShape<typeof TokenSchema> {
  const { id, role, name, maxUses, used, state } = token;
  return {
    ...{ id, name, maxUses, used },
    role: roleMessage(role),
    createdAt: timestampFromMs(token.createdAtMs),
    expiresAt: timestampFromMs(token.expiresAtMs),
    state: TOKEN_STATES[state],
    uses: token.uses.map(({ name, usedAtMs }) => ({
      name,
      usedAt: timestampFromMs(usedAtMs),
    })),
  };
}

export function certificateMessage(
  listing: CertificateListing,
): MessageInitShape<typeof CertificateSchema> {
  const { serial, role, name, generation, isRevoked } = listing;
  return {
    ...{ serial, name, generation, revoked: isRevoked },
    role: roleMessage(role),
    issuedAt: timestampFromMs(listing.issuedAtMs),
    notAfter: timestampFromMs(listing.notAfterMs),
  };
}

function readAuthority(message: AuthorityMessage): TrustRecord {
  const { clusterId, generation, certificate, fingerprint } = message;
  return readTrustRecord({
    ...{ clusterId, generation, certificate, fingerprint },
    signsFromMs: timeOf(message.signsFrom),
    trustedUntilMs: timeOf(message.trustedUntil),
  });
}

function readRevocation(message: RevocationMessage): RevocationRecord {
  const { serial, name, reason } = message;
  return readRevocationRecord({
    revokedAtMs: timeOf(message.revokedAt),
    reason,
    untilMs: timeOf(message.until),
    ...serial !== "" ? { kind: "serial", serial } : {
      kind: "name",
      role: readRole(message.role),
      name,
      issuedUpToMs: timeOf(message.issuedUpTo),
    },
  });
}

function timeOf(message: Timestamp | undefined): number | undefined {
  return message && timestampMs(message);
}
