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
  /** Runs while the answer to a ping is awaited. */
  #late: ReturnType<typeof setTimeout> | undefined;
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

  /** Whether nothing was heard for long, since nothing was asked: it may be gone. */
  get isQuiet(): boolean {
    return this.#streams === 0 && this.#isSilent;
  }

  // deno-lint-ignore require-await -- what is thrown here is no defect
  async request(
    method: string,
    path: string,
    headers: OutgoingHttpHeaders,
    options: ClientSessionRequestOptions,
  ): Promise<ClientHttp2Stream> {
    const stream = this.#open(
      { ...headers, ":method": method, ":path": path },
      options,
    );
    if (this.#streams++ === 0) this.#heardAt = performance.now();
    stream.once("close", () => this.#streams--);
    return stream;
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

  #open(
    headers: OutgoingHttpHeaders,
    options: ClientSessionRequestOptions,
  ): ClientHttp2Stream {
    try {
      if (this.isOpen) return this.#session.request(headers, options);
    } catch (cause) {
      // It has ended, and not said so yet.
      throw new Error("Nothing was sent", { cause });
    }
    throw new Error("Nothing was sent");
  }

  get #isSilent(): boolean {
    return performance.now() - this.#heardAt > PING_INTERVAL_MS;
  }

  #look(): void {
    if (this.#streams === 0 || this.#late || !this.#isSilent) return;
    // It throws on a session that is destroyed and has not said so yet.
    if (this.#session.destroyed) return;
    this.#late = setTimeout(() => {
      void this.close(new ConnectError("PING timed out", Code.Unavailable));
    }, PING_TIMEOUT_MS);
    this.#session.ping((error) => {
      this.#stopWaiting();
      if (!error) this.#heardAt = performance.now();
    });
  }

  #stopWaiting(): void {
    clearTimeout(this.#late);
    this.#late = undefined;
  }

  #end(): void {
    clearInterval(this.#timer);
    this.#stopWaiting();
    this.#closed.resolve();
  }
}
