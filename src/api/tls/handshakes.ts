import type { Socket } from "node:net";
import { X509Certificate } from "node:crypto";
import { createServer, type Server, type TLSSocket } from "node:tls";
import { getLogger } from "@logtape/logtape";
import { RecentMap } from "../../base/recent_map.ts";
import { fingerprintOf } from "../../security/pki/pem.ts";
import type { Caller, Connection } from "../access/call_context.ts";
import type { ClientKind, ClientLimits, Refusals } from "../limits/clients.ts";
import type { RpcLimits } from "../limits/limits.ts";
import { type ConnectedClient, ConnectedClients } from "./connected_clients.ts";
import type {
  ShownCertificate,
  TlsCredentials,
  TlsMaterial,
} from "./credentials.ts";

/** Limit on the certificates that are remembered for resumed sessions. */
const MAX_VERIFIED = 4096;

/** Why a handshake failed, by code of the error or of the verification. */
const REASONS: Readonly<Record<string, string>> = {
  ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE: "it showed no certificate",
  ERR_SSL_WRONG_VERSION_NUMBER: "it does not speak TLS",
  ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE: "it does not speak TLS 1.3",
};
const UNVERIFIED =
  "its certificate is not valid now, not for a client, or not signed by an authority in --tls-ca";

const log = getLogger(["stellar-net", "rpc"]);

/** The runtime keeps the TCP connection of a TLS one. */
type Wrapped = TLSSocket & { readonly _parent?: object };

/** A connection whose handshake has begun. */
interface Arrival {
  readonly socket: Socket;
  /** Address of the client: a closed connection does not know it any more. */
  readonly from: string;
  /** Called when its client has shown an identity. */
  readonly onKnown: () => void;
  /** Fingerprint of the server's certificate. */
  readonly fingerprint: string;
}

export interface TlsHandshakesOptions {
  readonly credentials: TlsCredentials;
  readonly limits: RpcLimits;
  readonly clients: ClientLimits;
  readonly refusals: Refusals;
  /** Takes over a connection whose client is known. */
  readonly onSecure: (socket: TLSSocket, connection: Connection) => void;
}

/** Speaks TLS 1.3 on accepted connections, asks each client for a certificate
 * and recognises it. A client without a valid certificate gets no further, unless
 * anonymous clients are accepted: then it counts as one.
 */
export class TlsHandshakes {
  readonly #options: TlsHandshakesOptions;
  readonly #stopReloads: () => void;
  readonly #live: ConnectedClients;
  /** Undefined while there is no certificate to show. */
  #server: Server | undefined;
  #fingerprint = "";
  /** Connections in their handshake, by their two ends. */
  readonly #pending = new Map<string, Arrival>();
  /** Certificates that were verified in full, by fingerprint, with the authorities at that time. */
  readonly #verified = new RecentMap<string, string>(MAX_VERIFIED);
  /** By the TCP connection. */
  readonly #arrivals = new WeakMap<object, Arrival>();

  constructor(options: TlsHandshakesOptions) {
    const { credentials, limits } = options;
    this.#options = options;
    this.#live = new ConnectedClients({ credentials, limits });
    this.#useMaterial();
    this.#stopReloads = credentials.onChange(() => this.#useMaterial());
  }

  /** Begins a handshake on a connection of which nothing was read. It closes the
   * connection while there is no certificate to show.
   *
   * @param arrival its client's address, and the callback for when the client has
   * shown an identity, by which it is counted from then on
   */
  accept(
    socket: Socket,
    { from, onKnown }: Pick<Arrival, "from" | "onKnown">,
  ): void {
    if (!this.#server) {
      socket.destroy();
      return;
    }
    const ends = endsOf(socket);
    const fingerprint = this.#fingerprint;
    const arrival = { socket, from, onKnown, fingerprint };
    this.#pending.set(ends, arrival);
    socket.once("close", () => this.#pending.delete(ends));
    this.#arrivals.set(socket, arrival);
    this.#server.emit("connection", socket);
  }

  /** Ends the handshakes in progress, and stops following the credentials. */
  stop(): void {
    this.#stopReloads();
    this.#live.stop();
    for (const { socket } of this.#pending.values()) socket.destroy();
  }

  #useMaterial(): void {
    const { material } = this.#options.credentials;
    if (!material) return;
    const { cert, key, ca } = material;
    this.#fingerprint = fingerprintOf(new X509Certificate(cert).raw);
    const context = { cert, key, ca, minVersion: "TLSv1.3" as const };
    if (this.#server) this.#server.setSecureContext(context);
    else this.#server = this.#createServer(material);
  }

  #createServer({ cert, key, ca }: TlsMaterial): Server {
    const { credentials, limits } = this.#options;
    const server = createServer({
      ...{ cert, key, ca },
      requestCert: true,
      rejectUnauthorized: !credentials.acceptsAnonymous,
      minVersion: "TLSv1.3",
      ALPNProtocols: ["h2", "http/1.1"],
      handshakeTimeout: limits.headerTimeoutMs,
    });
    server.on("secureConnection", (socket) => this.#check(socket));
    server.on("tlsClientError", (error, socket) => {
      socket.on("error", ignore);
      const why = reasonOf(error, socket);
      if (why !== undefined) {
        const from = this.#arrivalOf(socket)?.from ?? "an unknown address";
        this.#options.refusals.report({ from, why });
      }
      // A handshake that takes too long leaves it open.
      socket.destroy();
    });
    return server;
  }

  #arrivalOf(socket: TLSSocket): Arrival | undefined {
    return this.#arrivals.get((socket as Wrapped)._parent ?? socket) ??
      this.#pending.get(endsOf(socket));
  }

  #check(socket: TLSSocket): void {
    socket.on("error", ignore);
    const arrival = this.#arrivalOf(socket);
    this.#pending.delete(endsOf(socket));
    if (!arrival) {
      // It has closed already.
      socket.destroy();
      return;
    }
    const { credentials, refusals } = this.#options;
    const { from } = arrival;
    const shown = this.#shownBy(socket);
    if (!credentials.acceptsAnonymous && !shown?.isTrusted) {
      refusals.report({ from, why: UNVERIFIED });
      socket.destroy();
      return;
    }
    const caller = shown
      ? this.#recognize(shown, from)
      : { kind: "anonymous", address: from } as const;
    if (caller.kind === "refused") refusals.report({ from, why: caller.why });
    this.#admit(socket, { arrival, shown, caller });
  }

  #recognize(shown: ShownCertificate, address: string): Caller {
    try {
      return { ...this.#options.credentials.recognize(shown), address };
    } catch (error) {
      log.error("Cannot identify the client at {address}: {error}", {
        address,
        error,
      });
      const why = "Cannot tell whose certificate it is";
      return { kind: "refused", why, address };
    }
  }

  /** Lets a client call, unless it has too many connections. */
  #admit(
    socket: TLSSocket,
    { arrival, shown, caller }: {
      readonly arrival: Arrival;
      readonly shown: ShownCertificate | undefined;
      readonly caller: Caller;
    },
  ): void {
    const { clients, credentials, onSecure } = this.#options;
    const [kind, name]: readonly [ClientKind, string] = caller.kind === "member"
      ? ["identity", `${caller.identity.role} ${caller.identity.name}`]
      : ["anonymous", arrival.from];
    const share = clients.enter(kind, name);
    if (!share) {
      socket.destroy();
      return;
    }
    // Many hosts may come from one address.
    if (kind === "identity") arrival.onKnown();
    const client: ConnectedClient = {
      ...{ caller, shown },
      authorities: credentials.material?.ca ?? "",
      sinceMs: performance.now(),
      end() {
        socket.destroy();
        arrival.socket.destroy();
      },
    };
    this.#live.add(client);
    arrival.socket.once("close", () => {
      this.#live.delete(client);
      clients.leave(kind, share);
    });
    onSecure(socket, {
      ...{ caller, share },
      serverFingerprint: arrival.fingerprint,
    });
  }

  #shownBy(socket: TLSSocket): ShownCertificate | undefined {
    const certificate = socket.getPeerX509Certificate();
    return certificate && {
      der: certificate.raw,
      isTrusted: socket.authorized && this.#isCurrent(socket, certificate),
      usage: "client",
    };
  }

  /** Whether a client's certificate is valid now. Deno 2.9.6 does not verify a
   * resumed session again: neither its validity period nor its authorities.
   */
  #isCurrent(
    socket: TLSSocket,
    { fingerprint256, validTo }: X509Certificate,
  ): boolean {
    const ca = this.#options.credentials.material?.ca;
    if (ca === undefined) return false;
    if (socket.isSessionReused()) {
      return this.#verified.get(fingerprint256) === ca &&
        Date.now() <= Date.parse(validTo);
    }
    this.#verified.set(fingerprint256, ca);
    return true;
  }
}

function endsOf(socket: Socket): string {
  const { remoteAddress, remotePort, localAddress, localPort } = socket;
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}

/** Why a client was refused; undefined when it just closed the connection. */
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
