import { NetError } from "../../base/error.ts";
import type { FirstContact } from "../../security/pki/first_contact.ts";
import { fingerprintOf } from "../../security/pki/fingerprint.ts";
import { readIdentity } from "../../security/pki/certificate_identity.ts";
import type {
  Recognition,
  ShownCertificate,
  TlsCredentials,
  TlsMaterial,
} from "./credentials.ts";

/**
 * What a newcomer shows, which is nothing, and knows a server by: the
 * authority that its token names. All connections have to be to the one server.
 */
export class NewcomerCredentials implements TlsCredentials {
  readonly material: TlsMaterial;
  readonly acceptsNewcomers = false;
  readonly place = "";
  readonly #clusterId: string;
  #serverFingerprint = "";

  constructor({ server, authority }: FirstContact) {
    this.material = { cert: "", key: "", ca: authority };
    this.#clusterId = server.clusterId;
  }

  /** Of the server's certificate, as it was shown; empty before that. */
  get serverFingerprint(): string {
    return this.#serverFingerprint;
  }

  /** TLS has verified who signed the certificate, that it is in time, and for whom. */
  recognize({ der }: ShownCertificate): Recognition {
    try {
      const identity = readIdentity(der);
      const fingerprint = fingerprintOf(der);
      const { role, clusterId } = identity;
      if (role !== "node" || clusterId !== this.#clusterId) {
        return refuse(`it is for ${role} of cluster "${clusterId}"`);
      }
      if (![fingerprint, ""].includes(this.#serverFingerprint)) {
        return refuse("it is another one than before: try again");
      }
      this.#serverFingerprint = fingerprint;
      return { kind: "member", identity };
    } catch (error) {
      if (!(error instanceof NetError)) throw error;
      return refuse(error.message);
    }
  }

  fault(): string {
    return "";
  }

  warnings(): string[] {
    return [];
  }

  onChange(): () => void {
    return () => {};
  }
}

function refuse(what: string): Recognition {
  return {
    kind: "refused",
    why: `Cannot trust the server's certificate: ${what}`,
  };
}
