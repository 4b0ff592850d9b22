import type { Certificate } from "pkijs";
import { NetError } from "../../base/error.ts";
import { parseNodeName } from "../../base/names.ts";
import { quote } from "../../net/address.ts";
import { decodeCertificate } from "./decode.ts";
import { identityUris, readFacts } from "./certificate_identity.ts";
import {
  type Identity,
  parseIdentityUri,
  type PeerIdentity,
  type Role,
  ROLES,
} from "./identity.ts";
import { OID } from "./oid.ts";

const WAY_OUT =
  "give it the subject OU=node, OU=operator or OU=readonly and CN=NAME, or the URI stellar-net://CLUSTER/ROLE/NAME as a subjectAltName";

/**
 * Reads who a certificate of an operator's own authority says that its holder
 * is: by the URI among its alternative names where there is one, else by its
 * subject, whose organizational unit is the role and whose common name is the
 * name. The cluster's id is empty where the subject tells.
 *
 * Nothing is verified: that is for TLS.
 *
 * @param der DER
 * @throws {NetError} `unauthenticated`, saying what to put into it
 */
export function readGivenIdentity(der: Uint8Array): PeerIdentity {
  try {
    const decoded = decodeCertificate(der);
    return { ...readWho(decoded), ...readFacts(der, decoded) };
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new NetError(
      "unauthenticated",
      `Cannot tell whose certificate it is: ${cause.message}`,
      { cause },
    );
  }
}

function readWho(certificate: Certificate): Identity {
  const [uri, ...others] = identityUris(certificate);
  if (others.length > 0) {
    throw new RangeError(`it names several of ${quote(uri!)}; leave one`);
  }
  if (uri !== undefined) return parseIdentityUri(uri);
  const units = subjectParts(certificate, OID.organizationalUnit);
  const roles = ROLES.filter((role) => units.includes(role));
  const names = subjectParts(certificate, OID.commonName);
  const [role] = roles;
  const [name] = names;
  if (role === undefined || roles.length > 1) {
    throw new RangeError(
      `its subject names ${roles.join(" and ") || "no role"}; ${WAY_OUT}`,
    );
  }
  if (name === undefined || names.length > 1) {
    throw new RangeError(
      `its subject has ${names.length} common names; ${WAY_OUT}`,
    );
  }
  return { clusterId: "", role, name: nameOf(name, role) };
}

function nameOf(text: string, role: Role): string {
  try {
    return parseNodeName(text);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new RangeError(`its name as ${role}, ${error.message}; ${WAY_OUT}`);
  }
}

function subjectParts(certificate: Certificate, oid: string): string[] {
  return certificate.subject.typesAndValues
    .filter(({ type }) => type === oid)
    .map(({ value }) => String(value.valueBlock.value));
}
