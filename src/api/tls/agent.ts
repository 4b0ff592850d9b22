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

/** Code of the error for a server that TLS accepts, and the credentials do not. */
export const NOT_RECOGNIZED = "ERR_SERVER_NOT_RECOGNIZED";

/** How a connection is made: each is verified in full, with what is in force then. */
export function tlsSettings(material: TlsMaterial): ConnectionOptions {
  const { cert, key, ca } = material;
  const own = cert === "" ? {} : { cert, key };
  return { ...own, ca, minVersion: "TLSv1.3" };
}

const agents = new WeakMap<TlsCredentials, TlsAgent>();

/** The one agent for some credentials: connections are shared by all who call with them. */
export function tlsAgentOf(credentials: TlsCredentials): TlsAgent {
  const known = agents.get(credentials) ?? new TlsAgent(credentials);
  agents.set(credentials, known);
  return known;
}

/** Ends the connections that are kept for some credentials, which are not used any more. */
export function closeTlsAgent(credentials: TlsCredentials): void {
  agents.get(credentials)?.destroy();
}

/**
 * Makes connections over TLS to other agents, and shows them the certificate
 * that is in force then. Those from before a change are not used again, and
 * those to who is not recognised any more end.
 */
class TlsAgent extends Agent {
  readonly #credentials: TlsCredentials;
  /** Certificates of the servers at the other ends. */
  readonly #servers = new Map<TLSSocket, Uint8Array>();
  readonly #stale = new WeakSet<object>();

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
    socket.once("close", () => this.#servers.delete(socket));
    leaveOutEmptyWrites(socket);
    uncorkSoon(socket);
    return socket;
  }

  override keepSocketAlive(
    ...args: Parameters<Agent["keepSocketAlive"]>
  ): ReturnType<Agent["keepSocketAlive"]> {
    if (this.#stale.has(args[0])) return false as never;
    return super.keepSocketAlive(...args);
  }

  #check({ raw }: PeerCertificate): Error | undefined {
    const recognition = this.#recognize(new Uint8Array(raw));
    return recognition.kind === "member"
      ? undefined
      : notRecognized(recognition.why);
  }

  #recognize(der: Uint8Array) {
    // TLS has found it trusted by what is in force: it is asked only then.
    return this.#credentials
      .recognize({ der, isTrusted: true, usage: "server" });
  }

  #renew(): void {
    const free = Object.values(this.freeSockets)
      .flatMap((sockets) => sockets ?? []);
    for (const socket of free) socket.destroy();
    for (const [socket, der] of this.#servers) {
      this.#stale.add(socket);
      const recognition = this.#recognize(der);
      if (recognition.kind === "refused") {
        socket.destroy(notRecognized(recognition.why));
      }
    }
  }
}

/** In Deno 2.9.6 an empty write over TLS is an error (EPERM), and the body of a request may be empty. */
function leaveOutEmptyWrites(socket: TLSSocket): void {
  const write = socket._write.bind(socket);
  socket._write = (chunk: Uint8Array | string, encoding, done) =>
    chunk.length === 0 ? done() : write(chunk, encoding, done);
}

/**
 * In Deno 2.9.6 a connection that is corked while it is made stays so now and
 * then, and its first request is never sent. Whoever corks it has written what
 * belongs together within one turn of the event loop.
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

/** Why nothing can be shown yet. */
export function noCertificate({ place }: TlsCredentials): string {
  return `this agent has no certificate yet, see "stellar-net status" (${place})`;
}
