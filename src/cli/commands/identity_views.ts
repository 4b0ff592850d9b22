import {
  type Certificate,
  Role,
  type Token,
  TokenState,
} from "../framework/client.ts";
import type { IdentitySummary } from "../framework/identities.ts";
import { orNull, viewName, viewTime } from "../framework/views.ts";

/** What the holder of a certificate may be. */
export const ROLE_NAMES = ["node", "operator", "readonly"] as const;

// What `--json` prints. Fields are only ever added. Null means: there is none.

/** A join token: nothing of its secret. */
export interface TokenView {
  readonly id: string;
  readonly role: string;
  /** The only name that it lets in. */
  readonly name: string | null;
  readonly state: string;
  readonly createdAt: string | null;
  readonly expiresAt: string | null;
  readonly maxUses: number;
  readonly used: number;
  readonly uses: readonly {
    readonly name: string;
    readonly usedAt: string | null;
  }[];
}

/** A certificate that was issued. */
export interface CertificateView {
  readonly serial: string;
  readonly role: string;
  readonly name: string;
  readonly generation: number;
  readonly issuedAt: string | null;
  readonly notAfter: string | null;
  readonly revoked: boolean;
}

/** Whose a folder's certificate is. */
export interface IdentityView {
  readonly role: string;
  readonly name: string;
  readonly clusterId: string;
  readonly serial: string;
  readonly issuedAt: string;
  readonly notAfter: string;
  readonly urls: readonly string[];
}

/** The role of a name. */
export function roleOf(name: typeof ROLE_NAMES[number]): Role {
  return { node: Role.NODE, operator: Role.OPERATOR, readonly: Role.READONLY }[
    name
  ];
}

export function viewToken(message: Token): TokenView {
  return {
    id: message.id,
    role: viewName(Role, message.role),
    name: orNull(message.name),
    state: viewName(TokenState, message.state),
    createdAt: viewTime(message.createdAt),
    expiresAt: viewTime(message.expiresAt),
    maxUses: message.maxUses,
    used: message.used,
    uses: message.uses.map(({ name, usedAt }) => ({
      name,
      usedAt: viewTime(usedAt),
    })),
  };
}

export function viewCertificate(message: Certificate): CertificateView {
  return {
    serial: message.serial,
    role: viewName(Role, message.role),
    name: message.name,
    generation: message.generation,
    issuedAt: viewTime(message.issuedAt),
    notAfter: viewTime(message.notAfter),
    revoked: message.revoked,
  };
}

export function viewIdentity(summary: IdentitySummary): IdentityView {
  const { issuedAtMs, notAfterMs, ...rest } = summary;
  return {
    ...rest,
    issuedAt: new Date(issuedAtMs).toISOString(),
    notAfter: new Date(notAfterMs).toISOString(),
  };
}
