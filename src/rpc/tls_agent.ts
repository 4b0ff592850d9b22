import { Agent } from "node:https";
import { connect } from "node:tls";
import type { TLSSocket } from "node:tls";
import type { X509Certificate } from "node:crypto";
import { findFault, parseCertificates } from "./certificate_fault.ts";
import type { TlsIdentity, TlsMaterial } from "./tls_identity.ts";

/** How long a look at a server may take, in ms. */
const LOOK_TIMEOUT_MS = 3_000;
/** How long a server may take to refuse a certificate, in ms. */
const REFUSAL_TIMEOUT_MS = 500;

/** What an error of TLS means, by its code, where that alone says it. */
const MEANINGS: Readonly<Record<string, string>> = {
  ERR_SSL_WRONG_VERSION_NUMBER:
    'it does not speak TLS: write "http://", or start it with --tls-cert, --tls-key and --tls-ca',
  ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION: "it does not speak TLS 1.3",
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: "it wants a certificate",
};

/** Codes of a server's certificate that is not accepted: OpenSSL's X509_V_ERR_*. */
const UNVERIFIED = new Set([
  ...["UNABLE_TO_VERIFY_LEAF_SIGNATURE", "SELF_SIGNED_CERT_IN_CHAIN"],
  ...["DEPTH_ZERO_SELF_SIGNED_CERT", "UNABLE_TO_GET_ISSUER_CERT"],
  ...["UNABLE_TO_GET_ISSUER_CERT_LOCALLY", "CERT_HAS_EXPIRED"],
  ...["CERT_NOT_YET_VALID", "INVALID_PURPOSE", "CERT_SIGNATURE_FAILURE"],
]);
const WRONG_NAME = "ERR_TLS_CERT_ALTNAME_INVALID";
const HUNG_UP = new Set(["ECONNRESET", "EPIPE"]);

/** How a connection is made: each is verified in full, with what is in force then. */
function settings({ cert, key, ca }: TlsMaterial) {
  return {
    cert,
    key,
    ca,
    minVersion: "TLSv1.3",
    maxCachedSessions: 0,
  } as const;
}

/** Makes connections over TLS to other agents, and shows them the certificate that is in force then. */
export class TlsAgent extends Agent {
  readonly #identity: TlsIdentity;

  constructor(identity: TlsIdentity) {
    super({ keepAlive: true, maxCachedSessions: 0 });
    this.#identity = identity;
  }

  override createConnection(
    ...[options, done]: Parameters<Agent["createConnection"]>
  ): ReturnType<Agent["createConnection"]> {
    const { material } = this.#identity;
    const socket = super.createConnection(
      { ...options, ...settings(material) },
      done,
    ) as TLSSocket;
    // In Deno 2.9.6 an empty write before the end of the handshake is an error
    // (EPERM), and the body of a request may be empty.
    socket.cork();
    socket.once("secureConnect", () => socket.uncork());
    return socket;
  }
}

/**
 * Says what an error of a call over TLS means, with a way out; undefined where
 * it is none of TLS. Where the error does not tell, the server is looked at
 * once more: nothing is sent to it.
 */
export async function explainTls(
  error: unknown,
  { url, identity, nowMs }: {
    readonly url: string;
    readonly identity: TlsIdentity;
    readonly nowMs: number;
  },
): Promise<string | undefined> {
  const code = codeOf(error);
  if (code === undefined) return undefined;
  if (MEANINGS[code] !== undefined) return MEANINGS[code];
  if (!HUNG_UP.has(code) && code !== WRONG_NAME && !UNVERIFIED.has(code)) {
    return code.startsWith("ERR_SSL_") ? `TLS failed with ${code}` : undefined;
  }
  const { paths, material } = identity;
  const look = await lookAt(url, material, {
    refusalTimeoutMs: HUNG_UP.has(code) ? REFUSAL_TIMEOUT_MS : 0,
  });
  if (HUNG_UP.has(code)) {
    if (!look?.hungUp) return undefined;
    const fault = identity.fault(nowMs);
    return `it does not accept this agent's certificate "${paths.certPath}": ${
      fault === ""
        ? "look at its log, and at its --tls-ca and its clock"
        : fault
    }`;
  }
  if (!look?.certificate) return "its certificate is not accepted";
  if (code === WRONG_NAME) {
    const { hostname } = new URL(url);
    return `its certificate is for ${
      look.certificate.subjectAltName ?? "no name at all"
    }, not for "${hostname}": name it as its certificate does, or give it one with that subjectAltName`;
  }
  const ca = parseCertificates(material.ca);
  const fault = findFault([look.certificate], { ca, nowMs });
  return `its certificate is not accepted: ${
    fault === "" ? "it is not one for servers (extendedKeyUsage)" : fault
  }`;
}

/** The first code in the causes of an error. */
function codeOf(error: unknown): string | undefined {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (typeof code === "string") return code;
  }
  return undefined;
}

/** What was seen of a server. */
interface Look {
  readonly certificate: X509Certificate | undefined;
  /** Whether it ended the connection as soon as it had seen the client's certificate. */
  readonly hungUp: boolean;
}

/** Looks at a server's certificate, whatever it is, and whether it takes ours; undefined when it is out of reach. */
function lookAt(
  url: string,
  material: TlsMaterial,
  { refusalTimeoutMs }: { readonly refusalTimeoutMs: number },
): Promise<Look | undefined> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    let certificate: X509Certificate | undefined;
    let isSecure = false;
    const socket: TLSSocket = connect({
      host: hostname.replace(/^\[|\]$/g, ""),
      port: Number(port === "" ? 443 : port),
      ...settings(material),
      // Nothing is sent and nothing is believed.
      rejectUnauthorized: false,
    });
    const done = (hungUp: boolean) => {
      clearTimeout(timer);
      resolve(isSecure ? { certificate, hungUp } : undefined);
      socket.destroy();
    };
    let timer = setTimeout(() => done(false), LOOK_TIMEOUT_MS);
    socket.once("secureConnect", () => {
      isSecure = true;
      certificate = socket.getPeerX509Certificate();
      clearTimeout(timer);
      timer = setTimeout(() => done(false), refusalTimeoutMs);
      socket.resume();
    });
    socket.on("error", () => done(true));
    socket.once("end", () => done(true));
    socket.once("close", () => done(true));
  });
}
