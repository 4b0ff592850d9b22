import { getLogger } from "@logtape/logtape";
import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import type { AddressInfo, ListenOptions, Socket } from "node:net";
import { type ErrorCode, NetError } from "../../base/error.ts";
import type { ListenAddress } from "../../config/config.ts";
import { formatHost, isLoopback, unmapAddress } from "../../net/address.ts";
import {
  type Connection,
  LOST_CONNECTION,
  SOCKET_CONNECTION,
} from "../access/call_context.ts";
import { listen } from "../../system/listen.ts";
import type { ClientLimits, ClientShare, Refusals } from "../limits/clients.ts";
import type { RpcLimits } from "../limits/limits.ts";
import type { TlsCredentials } from "../tls/credentials.ts";
import { TlsHandshakes } from "../tls/handshakes.ts";

/** The client's part of the HTTP/2 connection preface (RFC 9113 section 3.4). */
const PREFACE = new TextEncoder().encode("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

/** The type of the record that begins a TLS connection: handshake (RFC 8446 section 5.1). */
const TLS_HANDSHAKE = 0x16;

/** The status for a request that cannot be read, by code of the error. */
const REFUSALS: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: "431 Request Header Fields Too Large",
  ERR_HTTP_REQUEST_TIMEOUT: "408 Request Timeout",
};

const log = getLogger(["stellar-net", "rpc"]);

/** A protocol besides HTTP. */
export interface OtherProtocol {
  /** The first bytes of a connection. */
  readonly start: Uint8Array;
  /** Serves a connection, which ends all errors of its own. */
  readonly accept: (socket: Socket) => void;
}

export interface ListenerOptions {
  readonly limits: RpcLimits;
  /** Answers a request of HTTP/1.1. */
  readonly handle: (
    request: IncomingMessage,
    response: ServerResponse,
    connection: Connection,
  ) => void;
  /** Takes over a connection that speaks HTTP/2. */
  readonly acceptHttp2: (socket: Socket, connection: Connection) => void;
  /** Takes over a connection that begins with other bytes than HTTP. */
  readonly other?: OtherProtocol | undefined;
  /** The shares of its clients. */
  readonly clients: ClientLimits;
  readonly refusals: Refusals;
  /** Whether it serves other hosts in plain text, besides TLS too; it hangs up on them otherwise. */
  readonly acceptsOthers: boolean;
  /** A path or an address. */
  readonly place: "unix" | "tcp";
  /** Undefined: plain text. */
  readonly tls?: TlsCredentials | undefined;
}

/** Accepts connections at one place. Their first bytes tell whether they speak
 * HTTP/2 (prior knowledge) or HTTP/1.1, over TLS if there are credentials. The
 * caller of a connection is known from its start.
 */
export class Listener {
  readonly #options: ListenerOptions;
  readonly #server: Server;
  readonly #serveHttp1: (this: Server, socket: Socket) => void;
  readonly #sockets = new Set<Socket>();
  /** The connections that speak HTTP/1.1. */
  readonly #connections = new WeakMap<object, Connection>();
  readonly #handshakes: TlsHandshakes | undefined;
  #onEmpty: (() => void) | undefined;

  constructor(options: ListenerOptions) {
    const { limits, tls, clients, refusals } = options;
    this.#options = options;
    this.#handshakes = tls && new TlsHandshakes({
      ...{ credentials: tls, limits, clients, refusals },
      onSecure: (socket, connection) => this.#sniff(socket, connection),
    });
    // The HTTP/1.1 server listens itself, which its timeouts and its keep-alive
    // need. Its own handling of connections runs after ours.
    this.#server = createServer({
      maxHeaderSize: limits.maxHeaderBytes,
      // The server requires it to be the smaller one.
      headersTimeout: Math.min(limits.headerTimeoutMs, limits.requestTimeoutMs),
      requestTimeout: limits.requestTimeoutMs,
      keepAliveTimeout: limits.keepAliveTimeoutMs,
      connectionsCheckingInterval: Math.min(1000, limits.headerTimeoutMs),
      noDelay: true,
    }, (request, response) => {
      const connection = this.#connections.get(request.socket);
      options.handle(request, response, connection ?? LOST_CONNECTION);
    });
    this.#serveHttp1 = this.#server.listeners("connection")[0] as (
      socket: Socket,
    ) => void;
    this.#server.removeAllListeners("connection");
    this.#server.on("connection", (socket: Socket) => this.#accept(socket));
    this.#server.on("clientError", (error, socket) => {
      log.debug("Cannot read HTTP/1.1: {error}", { error });
      if (socket.writable) socket.end(formatRefusal(error));
      else socket.destroy();
    });
  }

  /** Starts to listen. Resolves with the address and the port in use. */
  async listen(options: ListenOptions): Promise<AddressInfo | string | null> {
    await listen(this.#server, options);
    return this.#server.address();
  }

  /** Stops listening, and closes connections without a request; the others go on. */
  stop(): void {
    this.#server.close();
    this.#handshakes?.stop();
    for (const socket of this.#sniffing) socket.destroy();
    this.#server.closeIdleConnections();
  }

  /** Resolves when the last connection has ended. */
  empty(): Promise<void> {
    if (this.#sockets.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#onEmpty = resolve);
  }

  /** Ends all connections at once. */
  destroy(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Connections whose protocol is not known yet. */
  readonly #sniffing = new Set<Socket>();

  #accept(socket: Socket): void {
    // Without a listener an error of a connection would end the process.
    socket.on("error", ignore);
    if (this.#sockets.size >= this.#options.limits.maxConnections) {
      socket.destroy();
      return;
    }
    this.#sockets.add(socket);
    socket.once("close", () => {
      this.#sockets.delete(socket);
      if (this.#sockets.size === 0) this.#onEmpty?.();
    });
    if (this.#options.place === "unix") {
      this.#sniff(socket, SOCKET_CONNECTION);
      return;
    }
    const address = unmapAddress(socket.remoteAddress ?? "");
    const isLocal = isLoopback(address);
    const entry = isLocal ? undefined : this.#enter(socket, address);
    if (!isLocal && !entry) {
      socket.destroy();
    } else if (this.#handshakes) {
      // The TCP connection has nothing to send once its client has closed it.
      socket.allowHalfOpen = false;
      const handshakes = this.#handshakes;
      const arrival = { from: address, onKnown: () => entry?.leave() };
      if (!this.#options.acceptsOthers) {
        handshakes.accept(socket, arrival);
        return;
      }
      this.#read(socket, ([first]) => {
        if (first === TLS_HANDSHAKE) {
          return () => handshakes.accept(socket, arrival);
        }
        const caller = { kind: "plain", address } as const;
        const share = entry?.share;
        return () =>
          this.#sniff(socket, { caller, serverFingerprint: "", share });
      });
    } else if (!isLocal && !this.#options.acceptsOthers) {
      // It came over a link to an address of loopback (route_localnet).
      this.#options.refusals.report({
        from: address,
        why: "it is another host, and plain text is for programs on this one",
      });
      socket.destroy();
    } else {
      this.#sniff(socket, {
        caller: { kind: isLocal ? "loopback" : "plain", address },
        serverFingerprint: "",
        share: entry?.share,
      });
    }
  }

  /** Counts a connection of an address until it closes; undefined when it is one
   * too many.
   *
   * @returns its share, and what forgets it before it closes
   */
  #enter(
    socket: Socket,
    address: string,
  ): { readonly share: ClientShare; readonly leave: () => void } | undefined {
    const { clients } = this.#options;
    const share = clients.enter("address", address);
    if (!share) return undefined;
    let isIn = true;
    const leave = () => {
      if (isIn) clients.leave("address", share);
      isIn = false;
    };
    socket.once("close", leave);
    return { share, leave };
  }

  #sniff(socket: Socket, connection: Connection): void {
    const { other, acceptHttp2 } = this.#options;
    // An HTTP/1.1 client may close its side and wait for the answer. For all
    // others this is the end, which HTTP/2 would not notice.
    socket.allowHalfOpen = false;
    this.#read(socket, (read) => {
      const match = matchStart(read, PREFACE);
      const otherMatch = other ? matchStart(read, other.start) : "none";
      if (match === "partial" || otherMatch === "partial") return undefined;
      if (otherMatch === "whole") return () => other!.accept(socket);
      if (match === "whole") return () => acceptHttp2(socket, connection);
      return () => {
        socket.allowHalfOpen = true;
        this.#connections.set(socket, connection);
        this.#serveHttp1.call(this.#server, socket);
      };
    });
  }

  /**
   * Reads the first bytes of a connection until they show which server it is for.
   *
   * @param choose returns the function that takes it over, with nothing read; undefined: read more
   */
  #read(
    socket: Socket,
    choose: (read: Uint8Array) => (() => void) | undefined,
  ): void {
    let read: Uint8Array = new Uint8Array();
    const stop = () => {
      clearTimeout(timer);
      this.#sniffing.delete(socket);
      socket.off("readable", onReadable);
      socket.off("close", stop);
    };
    const onReadable = () => {
      const chunk: Uint8Array | null = socket.read();
      if (chunk === null) return;
      read = read.length === 0 ? chunk : concat(read, chunk);
      const accept = choose(read);
      if (!accept) return;
      stop();
      socket.unshift(read);
      accept();
    };
    const timer = setTimeout(
      () => socket.destroy(),
      this.#options.limits.headerTimeoutMs,
    );
    this.#sniffing.add(socket);
    socket.on("readable", onReadable);
    socket.on("close", stop);
  }
}

/** Whether bytes start with others, are the beginning of them, or differ. */
export function matchStart(
  bytes: Uint8Array,
  start: Uint8Array,
): "whole" | "partial" | "none" {
  const length = Math.min(bytes.length, start.length);
  for (let i = 0; i < length; i++) {
    if (bytes[i] !== start[i]) return "none";
  }
  return length === start.length ? "whole" : "partial";
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(a.length + b.length);
  bytes.set(a);
  bytes.set(b, a.length);
  return bytes;
}

function formatRefusal(error: NodeJS.ErrnoException): string {
  const status = REFUSALS[error.code ?? ""] ?? "400 Bad Request";
  return `HTTP/1.1 ${status}\r\nConnection: close\r\n\r\n`;
}

function ignore(): void {}

/** Why an agent cannot listen, by code of bind(2), and the way out with FLAG. */
const OBSTACLES: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  EADDRINUSE: [
    "failed_precondition",
    "another process listens there; stop it, or name another port with FLAG",
  ],
  EADDRNOTAVAIL: [
    "unavailable",
    "no interface of this host has that address; name another with FLAG",
  ],
  EACCES: [
    "permission_denied",
    "no permission to take that port; run the agent as root, or name a port above 1023 with FLAG",
  ],
};

/** Starts a listener on a TCP address. Resolves with the port in use.
 *
 * @param options `flag`: the one that names the address, for messages
 * @throws {NetError} naming the address and the obstacle; `unavailable` when
 * no interface of this host has the address, which may come yet
 */
export async function listenOnTcp(
  listener: Listener,
  address: ListenAddress,
  options: { readonly flag: string },
): Promise<ListenAddress> {
  const { hostname, port } = address;
  try {
    const bound = await listener.listen({ host: hostname, port });
    return { hostname, port: (bound as { readonly port: number }).port };
  } catch (error) {
    listener.stop();
    const { code } = error as { readonly code?: string };
    // Deno 2.9.6 reports EADDRNOTAVAIL as EINVAL.
    const [kind, what] = OBSTACLES[
      code === "EINVAL" ? "EADDRNOTAVAIL" : code ?? ""
    ] ??
      ["failed_precondition", (error as Error).message];
    throw new NetError(
      kind,
      `Cannot listen on "${formatHost(hostname)}:${port}": ${
        what.replace("FLAG", options.flag)
      }`,
      { cause: error },
    );
  }
}
