import { NetError } from "../base/error.ts";
import type { IssuedRecord } from "./pki/certificate.ts";
import type { PeerIdentity, Role } from "./pki/identity.ts";
import { findRevocation } from "./pki/revocation.ts";
import type { SigningRequest } from "./pki/signing_request.ts";
import type { Store } from "../store/store.ts";
import { isRevoked, RENEWAL_GRACE_MS } from "./certificates.ts";
import { readIssued, readRevocations } from "../state/identity_records.ts";
import type { KnownNodes } from "./known_nodes.ts";

/** Who is to be certified. */
interface Applicant {
  readonly role: Role;
  readonly name: string;
}

/** The error for who is not certified. */
export function notCertified({ role, name }: Applicant, why: string): NetError {
  return new NetError(
    "permission_denied",
    `Cannot certify ${role} "${name}": ${why}`,
  );
}

/**
 * Returns when a token is for who comes with it.
 *
 * @param roles what that can be; empty: anything
 * @throws {NetError} `permission_denied` when it is not
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
 * Returns when a name is free for who comes with a token for any name: no node
 * has it in whatever case, and no other key a certificate that holds.
 *
 * @throws {NetError} `permission_denied` when it is not
 */
export async function refuseKnownName(
  { store, nodes, nowMs }: {
    readonly store: Store;
    readonly nodes: KnownNodes;
    readonly nowMs: number;
  },
  applicant: Applicant & { readonly request: SigningRequest },
): Promise<void> {
  const { name, request } = applicant;
  const held = await heldBy({ store, nowMs }, applicant);
  const { keyFingerprint } = request;
  // Its answer may have been lost on the way.
  if (held.some((record) => record.keyFingerprint === keyFingerprint)) return;
  const known = await nodes.alike(name);
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
 * Returns when a key may be certified for who has a certificate of this
 * cluster that is not revoked.
 *
 * @throws {NetError} `permission_denied` when it may not
 */
export async function refuseRenewal(
  registered: {
    readonly store: Store;
    readonly clusterId: string;
    readonly nodes: KnownNodes;
    readonly nowMs: number;
  },
  identity: PeerIdentity,
  request: SigningRequest,
): Promise<void> {
  const revocations = await readRevocations(registered.store);
  const isOther = identity.clusterId !== registered.clusterId;
  if (isOther || findRevocation(revocations, identity)) {
    throw notCertified(identity, "its certificate is not accepted any more");
  }
  const isEnded = registered.nowMs >= identity.notAfterMs;
  if (isEnded) await refuseEnded(registered, identity, request);
}

/**
 * Returns when a certificate that has ended may be renewed all the same: that
 * of a node that the cluster knows, for a while, unless another host has come
 * in under its name.
 *
 * @throws {NetError} `permission_denied` when it may not
 */
async function refuseEnded(
  { store, nodes, nowMs }: {
    readonly store: Store;
    readonly nodes: KnownNodes;
    readonly nowMs: number;
  },
  identity: PeerIdentity,
  { keyFingerprint }: SigningRequest,
): Promise<void> {
  const { role, name, notAfterMs } = identity;
  const refused = (why: string) =>
    notCertified(
      identity,
      `its certificate ended at ${
        new Date(notAfterMs).toISOString()
      }${why}; join again with a token`,
    );
  if (role !== "node") throw refused("");
  if (nowMs >= notAfterMs + RENEWAL_GRACE_MS) {
    throw refused(", more than 30 days ago");
  }
  if (!await nodes.has(name)) {
    throw refused(", and the cluster has no node of that name any more");
  }
  const held = await heldBy({ store, nowMs }, identity);
  if (held.every((record) => record.keyFingerprint === keyFingerprint)) return;
  throw refused(", and another key has a certificate of that name since");
}

/** The certificates of a name that hold. */
async function heldBy(
  { store, nowMs }: { readonly store: Store; readonly nowMs: number },
  { role, name }: Applicant,
): Promise<IssuedRecord[]> {
  const revocations = await readRevocations(store);
  return (await readIssued(store, { role, name })).filter((record) =>
    nowMs < record.notAfterMs && !isRevoked(record, revocations)
  );
}
