import { parseId, parseNodeName } from "../../base/names.ts";
import { quote } from "../../net/address.ts";

/**
 * What a certificate lets its holder be: a host with an agent, a person or
 * program that may do everything, or one that may look.
 */
export type Role = "node" | "operator" | "readonly";

/** All roles. */
export const ROLES: readonly Role[] = ["node", "operator", "readonly"];

/** Who somebody is, in which cluster. */
export interface Identity {
  readonly clusterId: string;
  readonly role: Role;
  /** The node's name, or the operator's. */
  readonly name: string;
}

/** Who a certificate says that its holder is. */
export interface PeerIdentity extends Identity {
  /** Hexadecimal in lower case. */
  readonly serial: string;
  /** SHA-256 of the certificate's DER, as `openssl x509 -fingerprint -sha256` has it. */
  readonly fingerprint: string;
  /** When it was signed; for an authority that is not ours, from when on it is valid. */
  readonly issuedAtMs: number;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** Of the authority that it names as its issuer; 0 for one that is not ours. */
  readonly generation: number;
}

/** How the URI of an identity begins. */
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
    `${quote(text)} is no role: there are ${ROLES.join(", ")}`,
  );
}
