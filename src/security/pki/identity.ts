import { parseId, parseNodeName } from "../../base/names.ts";
import { type Address, quote } from "../../net/address.ts";

/**
 * The role of a certificate's holder: a host with an agent, a person or program
 * with all rights, or one that can only read.
 */
export type Role = "node" | "operator" | "readonly";

export const ROLES: readonly Role[] = ["node", "operator", "readonly"];

/** A member or operator of a cluster. */
export interface Identity {
  readonly clusterId: string;
  readonly role: Role;
  /** The node's name, or the operator's. */
  readonly name: string;
}

/** The holder of a certificate. */
export interface PeerIdentity extends Identity {
  /** Hexadecimal in lower case. */
  readonly serial: string;
  /** SHA-256 of the certificate's DER, as `openssl x509 -fingerprint -sha256` has it. */
  readonly fingerprint: string;
  /** When it was signed; for a certificate of an operator's own authority, when it becomes valid. */
  readonly issuedAtMs: number;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** The generation of its issuer; 0 for an operator's own authority. */
  readonly generation: number;
  /** The addresses that it is for. */
  readonly addresses: readonly Address[];
}

/** The scheme of the URI of an identity. */
export const IDENTITY_SCHEME = "stellar-net://";

/**
 * The URI that stands for an identity in a certificate:
 * `stellar-net://CLUSTER/ROLE/NAME`.
 *
 * @throws {RangeError} when the cluster's id or the name is not valid
 */
export function formatIdentityUri(identity: Identity): string {
  const { clusterId, role, name } = identity;
  return `${IDENTITY_SCHEME}${parseId(clusterId)}/${role}/${
    parseNodeName(name)
  }`;
}

/** Parses what {@linkcode formatIdentityUri} made. @throws {RangeError} for anything else */
export function parseIdentityUri(uri: string): Identity {
  const [clusterId, role, name, ...more] = uri.startsWith(IDENTITY_SCHEME)
    ? uri.slice(IDENTITY_SCHEME.length).split("/")
    : [];
  if (!clusterId || !role || !name || more.length > 0) {
    throw new RangeError(
      `${
        quote(uri)
      } is no identity: it has to be ${IDENTITY_SCHEME}CLUSTER/ROLE/NAME`,
    );
  }
  return {
    clusterId: parseId(clusterId),
    role: parseRole(role),
    name: parseNodeName(name),
  };
}

/** Checks the name of a role. @throws {RangeError} when there is no such role */
export function parseRole(text: string): Role {
  const role = ROLES.find((role) => role === text);
  if (role !== undefined) return role;
  throw new RangeError(
    `${quote(text)} is not a role: there are ${ROLES.join(", ")}`,
  );
}
