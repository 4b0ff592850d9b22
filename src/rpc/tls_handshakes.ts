import type { Socket } from "node:net";
import { createServer, type Server, type TLSSocket } from "node:tls";
import { getLogger } from "@logtape/logtape";
import type { RpcLimits } from "./limits.ts";
import type { TlsIdentity } from "./tls_identity.ts";

/** Certificates that are remembered for sessions that are resumed. */
const MAX_VERIFIED = 4096;
/** Refused clients are told to the operator this often at most, in ms. */
const REPORT_INTERVAL_MS = 10_000;

/** Why a handshake came to nothing, by code of the error or of the verification. */
const REASONS: Readonly<Record<string, string>> = {
  ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE: "it showed no certificate",
  ERR_SSL_WRONG_VERSION_NUMBER: "it does not speak TLS",
  ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE: "it does not speak TLS 1.3",
};
const UNVERIFIED =
  "its certificate is not valid now, not for a client, or not signed by an authority in --tls-ca";

const log = getLogger(["stellar-net", "rpc"]);

/** The runtime keeps what a TLS connection runs over. */
type Wrapped = TLSSocket & { readonly _parent?: object };

/** Options of handshakes. */
export interface TlsHandshakesOptions {
  readonly identity: TlsIdentity;
  readonly limits: Pick<RpcLimits, "headerTimeoutMs">;
  /** Takes over a connection whose client has shown a certificate that is trusted. */
  readonly onSecure: (socket: TLSSocket) => void;
}

/**
 * Speaks TLS 1.3 on connections that others have accepted, and asks each
 * client for a certificate. Who shows none, or a bad one, gets no further.
 */
export class TlsHandshakes {
  readonly #options: TlsHandshakesOptions;
  readonly #server: Server;
  readonly #stopReloads: () => void;
  /** Connections without a client that is known yet, by where they come from and go to. */
  readonly #pending = new Map<string, Socket>();
  /** Certificates that were verified in full, by fingerprint, and the authorities then. */
  readonly #verified = new Map<string, string>();
  /** Addresses of clients: a connection that has ended does not know its own. */
  readonly #from = new WeakMap<object, string>();
  #reportedAtMs = -Infinity;
  #unreported = 0;

  constructor(options: TlsHandshakesOptions) {
    const { identity, limits } = options;
    this.#options = options;
    this.#server = createServer({
      ...identity.material,
      requestCert: true,
      rejectUnauthorized: true,
      minVersion: "TLSv1.3",
      ALPNProtocols: ["h2", "http/1.1"],
      handshakeTimeout: limits.headerTimeoutMs,
    });
    this.#server.on("secureConnection", (socket) => this.#check(socket));
    this.#server.on("tlsClientError", (error, socket) => {
      socket.on("error", ignore);
      const why = reasonOf(error, socket);
      if (why !== undefined) this.#report(why, socket);
      // After a handshake that takes too long it is still there.
      socket.destroy();
    });
    this.#stopReloads = identity.onChange(() =>
      this.#server.setSecureContext({
        ...identity.material,
        minVersion: "TLSv1.3",
      })
    );
  }

  /** Begins a handshake on a connection of which nothing was read. */
  accept(socket: Socket): void {
    const ends = endsOf(socket);
    this.#pending.set(ends, socket);
    socket.once("close", () => this.#pending.delete(ends));
    this.#from.set(socket, socket.remoteAddress ?? "");
    this.#server.emit("connection", socket);
  }

  /** Ends the handshakes that are under way, and takes no more new certificates in. */
  stop(): void {
    this.#stopReloads();
    for (const socket of this.#pending.values()) socket.destroy();
  }

  #check(socket: TLSSocket): void {
    socket.on("error", ignore);
    this.#pending.delete(endsOf(socket));
    if (!socket.authorized || !this.#isCurrent(socket)) {
      this.#report(UNVERIFIED, socket);
      socket.destroy();
    } else {
      this.#options.onSecure(socket);
    }
  }

  /**
   * Whether what a client has shown holds now. In Deno 2.9.6 a session that is
   * resumed is not verified again: not its time, nor against new authorities.
   */
  #isCurrent(socket: TLSSocket): boolean {
    const certificate = socket.getPeerX509Certificate();
    if (!certificate) return false;
    const { fingerprint256, validTo } = certificate;
    const { ca } = this.#options.identity.material;
    if (socket.isSessionReused()) {
      return this.#verified.get(fingerprint256) === ca &&
        Date.now() <= Date.parse(validTo);
    }
    this.#verified.delete(fingerprint256);
    this.#verified.set(fingerprint256, ca);
    for (const oldest of this.#verified.keys()) {
      if (this.#verified.size <= MAX_VERIFIED) break;
      this.#verified.delete(oldest);
    }
    return true;
  }

  #report(why: string, socket: TLSSocket): void {
    const nowMs = performance.now();
    const from = this.#from.get((socket as Wrapped)._parent ?? socket) ??
      "an unknown address";
    if (nowMs - this.#reportedAtMs < REPORT_INTERVAL_MS) {
      this.#unreported++;
      log.debug("Refused a client at {from}: {why}", { from, why });
      return;
    }
    const others = this.#unreported;
    this.#reportedAtMs = nowMs;
    this.#unreported = 0;
    log.warn("Refused a client at {from}: {why} ({others} others before)", {
      ...{ from, why, others },
    });
  }
}

function endsOf(socket: Socket): string {
  const { remoteAddress, remotePort, localAddress, localPort } = socket;
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}

/** Why a client was refused; undefined when it has just hung up. */
function reasonOf(
  error: NodeJS.ErrnoException,
  socket: TLSSocket,
): string | undefined {
  if (socket.authorizationError) return UNVERIFIED;
  const { code = "", message } = error;
  if (code === "ECONNRESET") return undefined;
  return REASONS[code] ?? message;
}

function ignore(): void {}
