import type { Certificate } from "pkijs";
import { NetError } from "../../base/error.ts";
import { toDer } from "./certificate_parts.ts";
import { decodeCertificate } from "./decode.ts";
import { fingerprintOf } from "./fingerprint.ts";
import { readIdentity } from "./certificate_identity.ts";
import type { PeerIdentity } from "./identity.ts";
import { checkIdentity, isAuthority, isSignedBy } from "./peer.ts";
import { formatPem } from "./pem.ts";

/** What a newcomer learns from the certificates of a server that it may trust. */
export interface FirstContact {
  readonly server: PeerIdentity;
  /** The authority's certificate in PEM: from here on TLS takes it as `ca`. */
  readonly authority: string;
}

/** Most certificates in a chain that is looked at. */
const MAX_CHAIN = 8;

/**
 * Decides whether a server belongs to the cluster of a join token, before
 * anything is sent to it: one of its certificates has to be that of the
 * authority that the token names, and that authority has to have signed the
 * server's own.
 *
 * TLS has to have verified that the server has the key of the first
 * certificate, as every handshake does; the chain it need not have verified.
 *
 * @param chain DER, as the server sent them: its own first
 * @param checks the token's fingerprint
 * @throws {NetError} `unauthenticated`, saying what is wrong
 */
export function verifyFirstContact(
  chain: readonly Uint8Array[],
  checks: { readonly fingerprint: string; readonly nowMs: number },
): FirstContact {
  const { fingerprint, nowMs } = checks;
  const [own, ...others] = chain.slice(0, MAX_CHAIN);
  if (!own) throw refused("it has sent no certificate");
  let decoded: Certificate;
  let found: Certificate | undefined;
  try {
    decoded = decodeCertificate(own);
    found = others.map((der) => decodeCertificate(der)).find((certificate) =>
      fingerprintOf(toDer(certificate.subjectPublicKeyInfo)) === fingerprint
    );
  } catch (cause) {
    throw refused("one of its certificates cannot be decoded", cause);
  }
  if (!found) {
    throw refused(
      `none of its certificates is that of the token's authority, ${fingerprint}: another host answers there, or the authority was rotated since the token was created; make a new token`,
    );
  }
  if (!isAuthority(found) || !isSignedBy(found, found)) {
    throw refused("the authority's certificate is forged");
  }
  if (!isSignedBy(decoded, found)) {
    throw refused(
      "the token's authority has not signed its certificate: another host answers there, or the authority was rotated since the token was created; make a new token",
    );
  }
  const server = readIdentity(own);
  if (server.role !== "node") {
    throw refused(`its certificate has role ${server.role}, not node`);
  }
  checkIdentity(server, {
    clusterId: server.clusterId,
    nowMs,
    revocations: [],
  });
  return {
    server,
    authority: formatPem("CERTIFICATE", toDer(found)),
  };
}

function refused(what: string, cause?: unknown): NetError {
  return new NetError(
    "unauthenticated",
    `Cannot trust the server: ${what}`,
    cause === undefined ? {} : { cause },
  );
}
