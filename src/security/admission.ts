import { NetError } from "../base/error.ts";
import { type Address, formatAddress, parseAddress } from "../net/address.ts";
import { type Prefix, specialBlockOf } from "../net/prefix.ts";
import { isRevoked, RENEWAL_GRACE_MS } from "./certificates.ts";
import type { IdentityRecords } from "./identity_ledger.ts";
import type { IssuedRecord } from "./pki/certificate.ts";
import type { PeerIdentity, Role } from "./pki/identity.ts";
import { findRevocation } from "./pki/revocation.ts";
import type { SigningRequest } from "./pki/signing_request.ts";

/** The nodes of the cluster at one moment. */
export interface NodesView {
  /** Whether a node has this name, with or without an agent. */
  has(name: string): boolean;
  /** The node with this name, in whatever case, because TLS ignores case in host names. */
  alike(name: string): string | undefined;
  /** The node that is reached at an address, other than `except`. */
  reachedAt(address: Address, except: string): string | undefined;
  /** The node in whose subnet an address is, such as a container's or the gateway; undefined for none. */
  subnetOwner(address: Address): string | undefined;
}

/** The nodes of the cluster, for its certificate authority. */
export interface KnownNodes {
  view(): Promise<NodesView>;
}

/** The facts that decide on a request for a certificate. */
export interface Registered {
  readonly records: IdentityRecords;
  readonly nodes: NodesView;
  readonly nowMs: number;
}

/** A request for a certificate. */
interface Applicant {
  readonly role: Role;
  readonly name: string;
}

/**
 * Returns if the role of a token suits the joining host.
 *
 * @param roles the roles that the joining host accepts; empty: all
 * @throws {NetError} `permission_denied` if not
 */
export function refuseRole(
  { role, name }: Applicant,
  roles: readonly Role[],
): void {
  if (roles.length === 0 || roles.includes(role)) return;
  throw new NetError(
    "permission_denied",
    `Cannot join with this token: it is for ${role} "${name}", and ${
      roles.includes("node") ? "a node" : `an ${roles.join(" or ")}`
    } joins; create one with --role ${roles[0]}`,
  );
}

/**
 * Returns if a joining host with a token for any name may have a name: no node
 * has it in whatever case, and no other key has a valid certificate for it.
 *
 * @throws {NetError} `permission_denied` if not
 */
export function refuseKnownName(
  registered: Registered,
  applicant: Applicant & { readonly request: SigningRequest },
): void {
  const { name, request: { keyFingerprint } } = applicant;
  const held = validCertificates(registered, applicant);
  // The answer to the first join may have been lost.
  if (held.some((record) => record.keyFingerprint === keyFingerprint)) return;
  const known = registered.nodes.alike(name);
  if (known !== undefined) {
    throw notCertified(
      applicant,
      known === name
        ? "the cluster has a node of that name, and this token is for any; use one for just that name if this is that node, or remove it first if it is gone"
        : `the cluster has node "${known}", which is the same name to TLS, and this token is for any; use another name`,
    );
  }
  if (held.length === 0) return;
  throw notCertified(
    applicant,
    "another key has a certificate of that name, and this token is for any; use one that is for just that name, or revoke that certificate first",
  );
}

/**
 * Returns if the holder of a certificate may renew it.
 *
 * @throws {NetError} `permission_denied` if not
 */
export function refuseRenewal(
  registered: Registered & { readonly clusterId: string },
  identity: PeerIdentity,
  request: SigningRequest,
): void {
  const { records, nowMs, clusterId } = registered;
  if (
    identity.clusterId !== clusterId ||
    findRevocation(records.revocations, identity)
  ) {
    throw notCertified(identity, "its certificate is not accepted any more");
  }
  if (nowMs >= identity.notAfterMs) {
    refuseExpired(registered, identity, request);
  }
}

/**
 * Returns if an expired certificate may still be renewed. That is so for a
 * known node during a grace period, unless another host has joined under its
 * name.
 *
 * @throws {NetError} `permission_denied` if not
 */
function refuseExpired(
  registered: Registered,
  identity: PeerIdentity,
  { keyFingerprint }: SigningRequest,
): void {
  const { nodes, nowMs } = registered;
  const { role, name, notAfterMs } = identity;
  const refused = (why: string) =>
    notCertified(
      identity,
      `its certificate ended at ${
        new Date(notAfterMs).toISOString()
      }${why}; join again with a token for this name, of "stellar-net token create${
        role === "node" ? "" : ` --role ${role}`
      } --name ${name}"`,
    );
  if (role !== "node") throw refused("");
  if (nowMs >= notAfterMs + RENEWAL_GRACE_MS) {
    throw refused(", more than 30 days ago");
  }
  if (!nodes.has(name)) {
    throw refused(", and the cluster has no node of that name any more");
  }
  const held = validCertificates(registered, identity);
  if (held.every((record) => record.keyFingerprint === keyFingerprint)) return;
  throw refused(", and another key has a certificate of that name since");
}

/**
 * Returns if a name can be that of a host: not `localhost`, which is every
 * host, and not an address, which may be that of another one.
 *
 * @throws {NetError} `permission_denied` if not
 */
export function refuseAmbiguousName(applicant: Applicant): void {
  const { role, name } = applicant;
  if (role !== "node") return;
  const isLocal = /(?:^|\.)localhost$/i.test(name);
  if (!isLocal && !isAddress(name)) return;
  throw notCertified(
    applicant,
    `its name is ${
      isLocal ? "that of every host for itself" : "an address"
    }; start it with another --node`,
  );
}

/**
 * Returns if other hosts can reach a node at all of its addresses: none is
 * special, such as loopback or multicast, and none is in the subnet of another
 * node, such as that one's gateway.
 *
 * @throws {NetError} `permission_denied` if not
 */
export function refuseUnreachableAddresses(
  { nodes }: Registered,
  applicant: Applicant & { readonly addresses: readonly Address[] },
): void {
  for (const address of applicant.addresses) {
    const block = specialBlockOf(hostPrefix(address));
    const owner = nodes.subnetOwner(address);
    const isFree = owner === undefined || owner === applicant.name;
    if (block === undefined && isFree) continue;
    throw notCertified(
      applicant,
      `${formatAddress(address)} is ${
        block
          ? `${block.name}, and no other host reaches it there`
          : `in the subnet of node "${owner}"`
      }; start it with another --advertise or --listen`,
    );
  }
}

/**
 * Returns if no address belongs to another node. The address in a node's
 * certificate is that node's, whatever others claim. Any other address belongs
 * to the node whose agent is reached there.
 *
 * @throws {NetError} `permission_denied` naming the other node
 */
export function refuseForeignAddresses(
  registered: Registered,
  applicant: Applicant & { readonly addresses: readonly Address[] },
): void {
  const { addresses, name } = applicant;
  for (const address of addresses) {
    const holder = findHolder(registered, address);
    if (holder === name) continue;
    const by = holder ?? registered.nodes.reachedAt(address, name);
    if (by === undefined) continue;
    throw notCertified(
      applicant,
      `node "${by}" ${
        holder === undefined ? "is reached at" : "has a certificate for"
      } ${
        formatAddress(address)
      }; give one of them another address with --advertise, or remove node "${by}" if it is gone`,
    );
  }
}

/** The node whose latest certificate is for an address, and valid; undefined when there is none. */
function findHolder(
  { records, nodes, nowMs }: Registered,
  address: Address,
): string | undefined {
  const record = records.holder(address);
  if (!record || record.notAfterMs <= nowMs) return undefined;
  const { name, issuedAtMs } = record;
  // A later certificate may be for other addresses.
  const isLatest = records.issuedTo(record)
    .every((other) => other.issuedAtMs <= issuedAtMs);
  const isValid = isLatest && !isRevoked(record, records.revocations) &&
    nodes.has(name);
  return isValid ? name : undefined;
}

function validCertificates(
  { records, nowMs }: Registered,
  applicant: Applicant,
): IssuedRecord[] {
  return records.issuedTo(applicant).filter((record) =>
    nowMs < record.notAfterMs && !isRevoked(record, records.revocations)
  );
}

function hostPrefix({ family, value }: Address): Prefix {
  return { family, value, length: family === 4 ? 32 : 128 };
}

function isAddress(text: string): boolean {
  try {
    parseAddress(text);
    return true;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return false;
  }
}

function notCertified({ role, name }: Applicant, why: string): NetError {
  return new NetError(
    "permission_denied",
    `Cannot certify ${role} "${name}": ${why}`,
  );
}
