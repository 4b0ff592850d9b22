import { Agent } from "node:https";
import { setImmediate } from "node:timers";
import {
  checkServerIdentity,
  type ConnectionOptions,
  type PeerCertificate,
  type TLSSocket,
} from "node:tls";
import { NetError } from "../../base/error.ts";
import type { TlsCredentials, TlsMaterial } from "./credentials.ts";

/** Code of the error for a server that TLS accepts and the credentials refuse. */
export const NOT_RECOGNIZED = "ERR_SERVER_NOT_RECOGNIZED";

/** The settings of a new connection: verified in full, with the current material. */
export function tlsSettings(material: TlsMaterial): ConnectionOptions {
  const { cert, key, ca } = material;
  const own = cert === "" ? {} : { cert, key };
  return { ...own, ca, minVersion: "TLSv1.3" };
}

const agents = new WeakMap<TlsCredentials, TlsAgent>();

/** The one agent for some credentials: all their callers share its connections. */
export function tlsAgentOf(credentials: TlsCredentials): TlsAgent {
  const known = agents.get(credentials) ?? new TlsAgent(credentials);
  agents.set(credentials, known);
  return known;
}

/** Closes the idle connections of credentials that are no longer used. */
export function closeTlsAgent(credentials: TlsCredentials): void {
  agents.get(credentials)?.destroy();
}

/** Makes TLS connections to other agents with the current certificate. After a
 * change it uses no older connection again, and closes those to servers that the
 * credentials now refuse.
 */
class TlsAgent extends Agent {
  readonly #credentials: TlsCredentials;
  /** The certificate of the server of each connection. */
  readonly #servers = new Map<TLSSocket, Uint8Array>();
  /** The number of changes before each connection was begun. */
  readonly #begun = new WeakMap<object, number>();
  #changes = 0;

  constructor(credentials: TlsCredentials) {
    super({ keepAlive: true, maxCachedSessions: 0 });
    this.#credentials = credentials;
    credentials.onChange(() => this.#renew());
  }

  override createConnection(
    ...[options, done]: Parameters<Agent["createConnection"]>
  ): ReturnType<Agent["createConnection"]> {
    const { material } = this.#credentials;
    if (!material) {
      throw new NetError("unavailable", noCertificate(this.#credentials));
    }
    const settings: ConnectionOptions = {
      ...tlsSettings(material),
      checkServerIdentity: (host, shown) => {
        this.#servers.set(socket, new Uint8Array(shown.raw));
        return checkServerIdentity(host, shown) ?? this.#check(shown);
      },
    };
    const socket = super.createConnection(
      { ...options, ...settings },
      done,
    ) as TLSSocket;
    // A change may come before its handshake is over.
    this.#begun.set(socket, this.#changes);
    socket.once("close", () => this.#servers.delete(socket));
    leaveOutEmptyWrites(socket);
    uncorkSoon(socket);
    return socket;
  }

  override keepSocketAlive(
    ...args: Parameters<Agent["keepSocketAlive"]>
  ): ReturnType<Agent["keepSocketAlive"]> {
    if (this.#begun.get(args[0]) !== this.#changes) return false as never;
    return super.keepSocketAlive(...args);
  }

  #check({ raw }: PeerCertificate): Error | undefined {
    const recognition = this.#recognize(new Uint8Array(raw));
    return recognition.kind === "member"
      ? undefined
      : notRecognized(recognition.why);
  }

  #recognize(der: Uint8Array) {
    // Only called for a certificate that TLS has verified.
    return this.#credentials
      .recognize({ der, isTrusted: true, usage: "server" });
  }

  #renew(): void {
    this.#changes++;
    const free = Object.values(this.freeSockets)
      .flatMap((sockets) => sockets ?? []);
    for (const socket of free) socket.destroy();
    for (const [socket, der] of this.#servers) {
      const recognition = this.#recognize(der);
      if (recognition.kind === "refused") {
        socket.destroy(notRecognized(recognition.why));
      }
    }
  }
}

/** In Deno 2.9.6 an empty write over TLS fails (EPERM), and the body of a request may be empty. */
function leaveOutEmptyWrites(socket: TLSSocket): void {
  const write = socket._write.bind(socket);
  socket._write = (chunk: Uint8Array | string, encoding, done) =>
    chunk.length === 0 ? done() : write(chunk, encoding, done);
}

/** In Deno 2.9.6 a connection that is corked while it is being made sometimes
 * stays corked, and never sends its first request. All corked writes belong to one
 * turn of the event loop.
 */
function uncorkSoon(socket: TLSSocket): void {
  const cork = socket.cork.bind(socket);
  let isExpected = false;
  socket.cork = () => {
    cork();
    if (isExpected) return;
    isExpected = true;
    setImmediate(() => {
      isExpected = false;
      while (socket.writableCorked > 0) socket.uncork();
    });
  };
}

function notRecognized(why: string): Error {
  return Object.assign(new Error(why), { code: NOT_RECOGNIZED });
}

/** Why there is no certificate to show yet. */
export function noCertificate(credentials: TlsCredentials): string {
  const why = credentials.missing?.() || "it is being asked for";
  return `this agent has no certificate yet (${credentials.place}): ${why}`;
}
