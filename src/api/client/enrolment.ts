import { createClient, type Transport } from "@connectrpc/connect";
import { isIP } from "node:net";
import {
  connect,
  type DetailedPeerCertificate,
  type TLSSocket,
} from "node:tls";
import { NetError } from "../../base/error.ts";
import {
  type Credentials as CredentialsMessage,
  IdentityService,
} from "../../gen/stellar/net/v1/identity_pb.ts";
import { formatAddress, hostOf } from "../../net/address.ts";
import type {
  EnrolmentRequest,
  IssuingAgent,
  SigningOrder,
} from "../../security/certificate_source.ts";
import { readIdentity } from "../../security/pki/certificate_identity.ts";
import { fingerprintOf } from "../../security/pki/pem.ts";
import {
  type FirstContact,
  verifyFirstContact,
} from "../../security/pki/peer.ts";
import {
  createNonce,
  proveToken,
  signingRequestDigest,
} from "../../security/pki/token_proof.ts";
import type { Credentials } from "../../security/trust.ts";
import { readTrust, roleMessage } from "../messages/identity.ts";
import { closeTlsAgent } from "../tls/agent.ts";
import type {
  Recognition,
  ShownCertificate,
  TlsCredentials,
  TlsMaterial,
} from "../tls/credentials.ts";
import { isKeyMissing, NO_KEY } from "../tls/explain.ts";
import { createRpcTransport, explainFailure, unreachable } from "./client.ts";

/** Timeout of the first handshake with a server, in ms. */
const HANDSHAKE_TIMEOUT_MS = 5_000;
/** Deadline of a call, in ms. */
const CALL_TIMEOUT_MS = 10_000;
/** Limit on the certificates of a chain. */
const MAX_CHAIN = 8;

/** Joins with a token. It checks that the certificates of the agent at a URL are
 * of the authority that the token names, before it sends anything. Then it proves
 * the token on a connection verified by that authority, and gets its key certified.
 *
 * @param url of an agent that hosts the registry: `https://198.18.0.1:9000`
 * @throws {NetError} `unauthenticated` when the server does not belong to the
 * token's cluster, or the token is wrong; `permission_denied` when the token is used up, expired or revoked;
 * `unavailable` when the agent is unreachable
 */
export async function enrol(
  url: string,
  order: EnrolmentRequest,
  signal: AbortSignal,
): Promise<Credentials> {
  const { token, name, roles, signingRequest, addresses } = order;
  const credentials = new JoiningCredentials(
    await contact(url, order, signal),
  );
  const transport = createRpcTransport({ url }, {
    tls: credentials,
    timeoutMs: CALL_TIMEOUT_MS,
  });
  const client = createClient(IdentityService, transport);
  try {
    const { salt, serverNonce } = await client.beginJoin(
      { tokenId: token.id },
      { signal },
    );
    const clientNonce = createNonce();
    const proof = proveToken(token, {
      salt,
      transcript: {
        tokenId: token.id,
        name,
        serverNonce,
        clientNonce,
        requestDigest: signingRequestDigest(signingRequest),
        serverFingerprint: credentials.serverFingerprint,
      },
    });
    const answer = await client.finishJoin({
      ...{ tokenId: token.id, name, serverNonce, clientNonce, proof },
      signingRequest,
      addresses: addresses.map(formatAddress),
      roles: roles.map(roleMessage),
    }, { signal });
    return readCredentials(answer.credentials);
  } catch (error) {
    throw error instanceof RangeError ? damaged(error) : error;
  } finally {
    closeTlsAgent(credentials);
  }
}

/** Gets a key certified for the identity of a transport.
 *
 * @throws {NetError} `unauthenticated` or `permission_denied` when its
 * certificate is not valid, `unavailable` when the agent is unreachable
 */
export async function renew(
  transport: Transport,
  { signingRequest, addresses }: SigningOrder,
  signal: AbortSignal,
): Promise<Credentials> {
  const client = createClient(IdentityService, transport);
  const answer = await client.renewCertificate({
    signingRequest,
    addresses: addresses.map(formatAddress),
  }, { signal, timeoutMs: CALL_TIMEOUT_MS });
  try {
    return readCredentials(answer.credentials);
  } catch (error) {
    throw error instanceof RangeError ? damaged(error) : error;
  }
}

/** The authority behind an agent's API. @param transport calls the agent at the URL */
export function createIssuingAgent(
  url: string,
  transport: Transport,
): IssuingAgent {
  return {
    enrol: (order, signal) => inTime(url, enrol(url, order, signal)),
    renew: (order, signal) => inTime(url, renew(transport, order, signal)),
  };
}

/** Treats an agent that does not answer in time as unreachable. */
async function inTime<T>(url: string, answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    const isLate = error instanceof NetError &&
      error.code === "deadline_exceeded";
    throw isLate
      ? unreachable({ url }, "it did not answer in time", error)
      : error;
  }
}

/** Checks that a server belongs to the token's cluster, and sends it nothing. */
async function contact(
  url: string,
  { token }: EnrolmentRequest,
  signal: AbortSignal,
): Promise<FirstContact> {
  let chain: readonly Uint8Array[];
  try {
    chain = await readChain(url, signal);
  } catch (error) {
    if (isKeyMissing(error)) {
      throw new NetError(
        "unauthenticated",
        `Cannot trust the server: ${NO_KEY}; asked at "${url}"`,
        { cause: error },
      );
    }
    const what = await explainFailure(error, { url }) ??
      (error instanceof Error ? error.message : String(error));
    throw unreachable({ url }, what, error);
  }
  try {
    const { fingerprint } = token;
    return verifyFirstContact(chain, { fingerprint, nowMs: Date.now() });
  } catch (error) {
    if (!(error instanceof NetError)) throw error;
    throw new NetError(error.code, `${error.message}; asked at "${url}"`, {
      cause: error,
    });
  }
}

/** The certificates of a server, its own first. @throws {Error} when it is unreachable */
function readChain(url: string, signal: AbortSignal): Promise<Uint8Array[]> {
  const { port } = new URL(url);
  const host = hostOf(url);
  return new Promise((resolve, reject) => {
    const socket = connect({
      host,
      port: Number(port === "" ? 443 : port),
      ...isIP(host) === 0 && { servername: host },
      minVersion: "TLSv1.3",
      // Nothing is sent, and the caller checks the certificates.
      rejectUnauthorized: false,
    });
    const end = (finish: () => void) => {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      finish();
      socket.destroy();
    };
    const fail = (error: Error) => end(() => reject(error));
    const onAbort = () => fail(new Error("the attempt was cancelled"));
    const timer = setTimeout(
      () => fail(new Error("nothing answers there in time")),
      HANDSHAKE_TIMEOUT_MS,
    );
    signal.addEventListener("abort", onAbort);
    socket.once("secureConnect", () => end(() => resolve(chainOf(socket))));
    socket.on("error", fail);
    socket.once("close", () => fail(new Error("it closed the connection")));
    if (signal.aborted) onAbort();
  });
}

function chainOf(socket: TLSSocket): Uint8Array[] {
  const chain: Uint8Array[] = [];
  let next: DetailedPeerCertificate | undefined = socket
    .getPeerCertificate(true);
  while (next?.raw && chain.length < MAX_CHAIN) {
    const { raw, issuerCertificate, fingerprint256 }: DetailedPeerCertificate =
      next;
    chain.push(new Uint8Array(raw));
    // An authority is its own issuer, in Deno 2.9.6 as a new object each time.
    next = issuerCertificate?.fingerprint256 === fingerprint256
      ? undefined
      : issuerCertificate;
  }
  return chain;
}

function readCredentials(
  message: CredentialsMessage | undefined,
): Credentials {
  if (!message?.trust) throw new RangeError("it has no credentials");
  return { chain: message.chain, trust: readTrust(message.trust) };
}

function damaged(cause: RangeError): NetError {
  return new NetError(
    "internal",
    `Cannot use what the registry answered: ${cause.message}`,
    { cause },
  );
}

/** The credentials of a joining host: it shows no certificate, and trusts the
 * authority that its token names. All its connections go to one server.
 */
class JoiningCredentials implements TlsCredentials {
  readonly material: TlsMaterial;
  readonly acceptsAnonymous = false;
  readonly place = "";
  readonly #clusterId: string;
  #serverFingerprint = "";

  constructor({ server, authority }: FirstContact) {
    this.material = { cert: "", key: "", ca: authority };
    this.#clusterId = server.clusterId;
  }

  /** Of the server's certificate; empty before the first connection. */
  get serverFingerprint(): string {
    return this.#serverFingerprint;
  }

  /** TLS has verified the signature, the validity period and the name. */
  recognize({ der }: ShownCertificate): Recognition {
    try {
      const identity = readIdentity(der);
      const fingerprint = fingerprintOf(der);
      const { role, clusterId } = identity;
      if (role !== "node" || clusterId !== this.#clusterId) {
        return refuse(`it is for ${role} of cluster "${clusterId}"`);
      }
      if (![fingerprint, ""].includes(this.#serverFingerprint)) {
        return refuse("it has changed since the last connection: try again");
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
