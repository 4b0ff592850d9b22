import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type ClientSessionRequestOptions,
  connect,
  constants,
  type OutgoingHttpHeaders,
} from "node:http2";
import { Code, ConnectError } from "@connectrpc/connect";

/** Certificates and keys in PEM. */
export interface TlsMaterial {
  /** The authorities that are trusted; public ones where there are none. */
  readonly ca?: string;
  /** The client's own. */
  readonly cert?: string;
  readonly key?: string;
}

/** Options of a session. */
export interface EtcdSessionOptions {
  /** Present where TLS is spoken. */
  readonly tls?: TlsMaterial;
  /** How long connecting may take, in ms. */
  readonly connectTimeoutMs: number;
}

/**
 * How long a session with open calls is silent before it is tried. etcd ends
 * sessions that are tried more often than each 5 s (`--grpc-keepalive-min-time`).
 */
const PING_INTERVAL_MS = 5_500;
/** How long the answer to a ping may take. */
const PING_TIMEOUT_MS = 2_500;

/**
 * One HTTP/2 connection, never replaced: who holds it knows whom it talks to.
 * While calls are open, a network that was cut is noticed within
 * `PING_INTERVAL_MS + PING_TIMEOUT_MS`.
 *
 * It is the session manager of a transport.
 */
export class EtcdSession {
  readonly authority: string;
  readonly #session: ClientHttp2Session;
  readonly #closed = Promise.withResolvers<void>();
  readonly #timer: ReturnType<typeof setInterval>;
  #streams = 0;
  #heardAt = performance.now();
  #isPinging = false;
  /** No new calls: the server has said that it goes. */
  #isGoing = false;

  private constructor(session: ClientHttp2Session, authority: string) {
    this.#session = session;
    this.authority = authority;
    session.on("goaway", () => this.#isGoing = true);
    session.once("close", () => this.#end());
    this.#timer = setInterval(() => this.#look(), PING_TIMEOUT_MS / 5);
  }

  /** Connects. @throws what keeps it from that */
  static open(
    url: string,
    { tls, connectTimeoutMs }: EtcdSessionOptions,
  ): Promise<EtcdSession> {
    const { promise, resolve, reject } = Promise.withResolvers<EtcdSession>();
    const { origin } = new URL(url);
    const session = connect(origin, { ...tls });
    const timer = setTimeout(() => {
      session.destroy();
      reject(new ConnectError("connecting timed out", Code.DeadlineExceeded));
    }, connectTimeoutMs);
    // It stays: without a listener an error would end the process.
    session.on("error", reject);
    session.once("close", () => {
      clearTimeout(timer);
      reject(new ConnectError("the connection was closed", Code.Unavailable));
    });
    session.once("connect", () => {
      clearTimeout(timer);
      if (session.destroyed) return;
      resolve(new EtcdSession(session, origin));
    });
    return promise;
  }

  /** Settles when the connection has ended. */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  /** Whether calls can be made. */
  get isOpen(): boolean {
    return !this.#isGoing && !this.#session.closed && !this.#session.destroyed;
  }

  request(
    method: string,
    path: string,
    headers: OutgoingHttpHeaders,
    options: ClientSessionRequestOptions,
  ): Promise<ClientHttp2Stream> {
    if (!this.isOpen) {
      throw new ConnectError("the connection is closed", Code.Unavailable);
    }
    const stream = this.#session.request(
      { ...headers, ":method": method, ":path": path },
      options,
    );
    if (this.#streams++ === 0) this.#heardAt = performance.now();
    stream.once("close", () => this.#streams--);
    return Promise.resolve(stream);
  }

  notifyResponseByteRead(): void {
    this.#heardAt = performance.now();
  }

  /** Ends the connection and the calls on it, and waits for that. */
  async close(reason?: Error): Promise<void> {
    if (!this.#session.destroyed) {
      this.#session.destroy(reason, constants.NGHTTP2_CANCEL);
    }
    await this.#closed.promise;
  }

  #look(): void {
    const isSilent = performance.now() - this.#heardAt > PING_INTERVAL_MS;
    if (this.#streams === 0 || this.#isPinging || !isSilent) return;
    this.#isPinging = true;
    const late = setTimeout(() => {
      void this.close(new ConnectError("PING timed out", Code.Unavailable));
    }, PING_TIMEOUT_MS);
    const sent = this.#session.ping((error) => {
      clearTimeout(late);
      this.#isPinging = false;
      if (!error) this.#heardAt = performance.now();
    });
    if (!sent) {
      clearTimeout(late);
      this.#isPinging = false;
    }
  }

  #end(): void {
    clearInterval(this.#timer);
    this.#closed.resolve();
  }
}
