import { hostOf } from "../../net/address.ts";
import type { X509Certificate } from "node:crypto";
import { connect, type TLSSocket } from "node:tls";
import { findFault, parseCertificates } from "./certificate_fault.ts";
import { NOT_RECOGNIZED, tlsSettings } from "./agent.ts";
import type { TlsCredentials, TlsMaterial } from "./credentials.ts";

const ROTATED =
  "; where that was rotated meanwhile, a new token lets this one in again";

/** Timeout of a test connection to a server, in ms. */
const PROBE_TIMEOUT_MS = 3_000;
/** Limit on the wait for a server to refuse a certificate, in ms. */
const REFUSAL_TIMEOUT_MS = 500;

/** The meaning of TLS errors whose code says it all. */
const MEANINGS: Readonly<Record<string, string>> = {
  ERR_SSL_WRONG_VERSION_NUMBER:
    "it does not speak TLS: start it without --insecure, or name an agent that other hosts may call",
  ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION: "it does not speak TLS 1.3",
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: "it requires a certificate",
};

/** Codes for a server's certificate that is not accepted: OpenSSL's X509_V_ERR_*. */
const UNVERIFIED = new Set([
  ...["UNABLE_TO_VERIFY_LEAF_SIGNATURE", "SELF_SIGNED_CERT_IN_CHAIN"],
  ...["DEPTH_ZERO_SELF_SIGNED_CERT", "UNABLE_TO_GET_ISSUER_CERT"],
  ...["UNABLE_TO_GET_ISSUER_CERT_LOCALLY", "CERT_HAS_EXPIRED"],
  ...["CERT_NOT_YET_VALID", "INVALID_PURPOSE", "CERT_SIGNATURE_FAILURE"],
]);
const WRONG_NAME = "ERR_TLS_CERT_ALTNAME_INVALID";
const HUNG_UP = new Set(["ECONNRESET", "EPIPE"]);
/** The message of node:tls for a connection that closed in the handshake; its code is that of any closed connection. */
const NO_TLS = /before secure TLS connection was established/;

/** Why a server is refused that shows another's certificate. */
export const NO_KEY =
  "it does not have the key of its certificate, another host answers there";

/** Whether a server failed to prove that it has the key of its certificate, when
 * any certificate is accepted: Deno 2.9.6 reports this as a certificate error.
 */
export function isKeyMissing(error: unknown): boolean {
  return UNVERIFIED.has(codeOf(error) ?? "");
}

/** Explains an error of a call over TLS, with a way out; undefined when the error
 * is not about TLS. Where the error does not tell, it connects to the server once
 * more, and sends nothing.
 */
export async function explainTls(
  error: unknown,
  { url, credentials, nowMs }: {
    readonly url: string;
    readonly credentials: TlsCredentials | undefined;
    readonly nowMs: number;
  },
): Promise<string | undefined> {
  const code = codeOf(error);
  if (code === undefined) return undefined;
  if (MEANINGS[code] !== undefined) return MEANINGS[code];
  if (code === NOT_RECOGNIZED) {
    return `its certificate is not accepted: ${messageOf(error, code)}`;
  }
  if (!HUNG_UP.has(code) && code !== WRONG_NAME && !UNVERIFIED.has(code)) {
    return code.startsWith("ERR_SSL_") ? `TLS failed with ${code}` : undefined;
  }
  if (HUNG_UP.has(code) && NO_TLS.test(messageOf(error, code))) {
    return 'it closes connections before TLS: it has no certificate yet, or too many clients; see "stellar-net status" there';
  }
  if (!credentials?.material) return undefined;
  const { place, material } = credentials;
  const probe = await probeServer(url, material, {
    refusalTimeoutMs: HUNG_UP.has(code) ? REFUSAL_TIMEOUT_MS : 0,
  });
  if (HUNG_UP.has(code)) {
    if (!probe?.hungUp) return undefined;
    if (material.cert === "") return "it closed the connection";
    const fault = credentials.fault(nowMs);
    return `it does not accept this agent's certificate "${place}": ${
      fault === ""
        ? "check its log, its trusted authorities and its clock"
        : fault
    }`;
  }
  if (probe?.isKeyMissing) return `its certificate is not accepted: ${NO_KEY}`;
  if (!probe?.certificate) return "its certificate is not accepted";
  if (code === WRONG_NAME) {
    const { hostname } = new URL(url);
    return `its certificate is for ${
      probe.certificate.subjectAltName ?? "no name at all"
    }, not for "${hostname}": name it as its certificate does, or give it one with that subjectAltName`;
  }
  const ca = parseCertificates(material.ca);
  const { trusts = "of this cluster" } = credentials;
  const fault = findFault([probe.certificate], { ca, nowMs, trusts });
  const isOurs = credentials.trusts === undefined && fault.endsWith(trusts);
  return `its certificate is not accepted: ${
    fault === "" ? "it is not one for servers (extendedKeyUsage)" : fault
  }${isOurs ? ROTATED : ""}`;
}

/** The first code in the causes of an error. */
function codeOf(error: unknown): string | undefined {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (typeof code === "string") return code;
  }
  return undefined;
}

/** The message of the cause that has a code. */
function messageOf(error: unknown, code: string): string {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if ((cause as NodeJS.ErrnoException).code === code) return cause.message;
  }
  return code;
}

/** The result of a test connection. */
interface Probe {
  readonly certificate: X509Certificate | undefined;
  /** Whether it closed the connection when it saw the client's certificate. */
  readonly hungUp: boolean;
  /** Whether it does not have the key of its certificate. */
  readonly isKeyMissing?: boolean;
}

/** Reads a server's certificate, valid or not, and tests whether it accepts ours; undefined when it is unreachable. */
function probeServer(
  url: string,
  material: TlsMaterial,
  { refusalTimeoutMs }: { readonly refusalTimeoutMs: number },
): Promise<Probe | undefined> {
  const { port } = new URL(url);
  return new Promise((resolve) => {
    let certificate: X509Certificate | undefined;
    let isSecure = false;
    const socket: TLSSocket = connect({
      host: hostOf(url),
      port: Number(port === "" ? 443 : port),
      ...tlsSettings(material),
      // Nothing is sent, and nothing is trusted.
      rejectUnauthorized: false,
    });
    const done = (hungUp: boolean) => {
      clearTimeout(timer);
      resolve(isSecure ? { certificate, hungUp } : undefined);
      socket.destroy();
    };
    let timer = setTimeout(() => done(false), PROBE_TIMEOUT_MS);
    socket.once("secureConnect", () => {
      isSecure = true;
      certificate = socket.getPeerX509Certificate();
      clearTimeout(timer);
      timer = setTimeout(() => done(false), refusalTimeoutMs);
      socket.resume();
    });
    socket.on("error", (error) => {
      if (!isSecure && isKeyMissing(error)) {
        resolve({ certificate, hungUp: false, isKeyMissing: true });
      }
      done(true);
    });
    socket.once("end", () => done(true));
    socket.once("close", () => done(true));
  });
}
