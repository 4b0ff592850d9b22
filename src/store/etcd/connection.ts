import {
  type Client,
  Code,
  ConnectError,
  createClient,
} from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { NetError } from "../../base/error.ts";
import { Auth, KV, Watch } from "../../gen/etcd/etcd_pb.ts";
import {
  type EtcdOptions,
  readPassword,
  readTls,
  type TlsMaterial,
} from "./options.ts";
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type ClientSessionRequestOptions,
  connect,
  constants,
  type OutgoingHttpHeaders,
} from "node:http2";

/** Options of a connection. */
export interface EtcdConnectionOptions
  extends Pick<EtcdOptions, "tls" | "user"> {
  readonly endpoint: string;
  /** How long connecting may take, and how long finding out whether it still works, in ms. */
  readonly connectTimeoutMs: number;
  /** A key that may be read, whether it is there or not. */
  readonly probeKey: Uint8Array;
  /** Called with the cluster at the other end; throws where it is the wrong one. */
  readonly checkCluster: (id: bigint) => void;
}

/** Bytes of one answer: a page of the largest entries, and more. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;

/** A timeout that gRPC can express: whole ms, at least one. */
export function wholeMs(ms: number): number {
  return Math.max(1, Math.ceil(ms));
}

/** A connection to one endpoint, over which a call has been answered. */
export class EtcdConnection {
  readonly kv: Client<typeof KV>;
  readonly watch: Client<typeof Watch>;
  readonly #auth: Client<typeof Auth>;
  readonly #options: EtcdConnectionOptions;
  readonly #session: EtcdSession;
  #token = "";
  #renewal: Promise<void> | undefined;

  private constructor(session: EtcdSession, options: EtcdConnectionOptions) {
    const transport = createGrpcTransport({
      baseUrl: session.authority,
      sessionManager: session,
      readMaxBytes: MAX_ANSWER_BYTES,
    });
    this.#options = options;
    this.#session = session;
    this.kv = createClient(KV, transport);
    this.watch = createClient(Watch, transport);
    this.#auth = createClient(Auth, transport);
  }

  /** Connects, tells who asks, and looks which cluster it is. */
  static async open(options: EtcdConnectionOptions): Promise<EtcdConnection> {
    const { endpoint, tls, connectTimeoutMs } = options;
    const deadline = performance.now() + connectTimeoutMs;
    const leftMs = () => wholeMs(deadline - performance.now());
    const session = await EtcdSession.open(
      `${tls ? "https" : "http"}://${endpoint}`,
      { connectTimeoutMs, ...tls ? { tls: await readTls(tls) } : {} },
    );
    const connection = new EtcdConnection(session, options);
    try {
      await connection.renewToken(leftMs());
      await connection.probe(leftMs());
      return connection;
    } catch (error) {
      await connection.close();
      // A server that wants TLS says no more than that.
      throw tls || error instanceof NetError
        ? error
        : new Error("The connection ended at once in plain text", {
          cause: error,
        });
    }
  }

  /** `h1:2379`. */
  get endpoint(): string {
    return this.#options.endpoint;
  }

  /** Settles when the connection has ended. */
  get closed(): Promise<void> {
    return this.#session.closed;
  }

  /** Whether calls can be made. */
  get isOpen(): boolean {
    return this.#session.isOpen;
  }

  /** Whether it has not been used for so long that it may be gone. */
  get isQuiet(): boolean {
    return this.#session.isQuiet;
  }

  /** What goes with each call. A member that has no leader refuses it at once. */
  get headers(): Record<string, string> {
    return { hasleader: "true", ...this.#identity };
  }

  /** Looks whether the member answers at all, whatever it knows of the others. */
  async probe(
    timeoutMs: number = this.#options.connectTimeoutMs,
  ): Promise<void> {
    const { probeKey, checkCluster } = this.#options;
    const { header } = await this.kv.range(
      { key: probeKey, serializable: true, countOnly: true },
      { headers: this.#identity, timeoutMs },
    );
    checkCluster(header?.clusterId ?? 0n);
  }

  /** Gets a new token, where there is a user. */
  renewToken(
    timeoutMs: number = this.#options.connectTimeoutMs,
  ): Promise<void> {
    return this.#renewal ??= this.#authenticate(timeoutMs).finally(() => {
      this.#renewal = undefined;
    });
  }

  /** Ends the connection and the calls on it. */
  async close(): Promise<void> {
    await this.#session.close();
  }

  get #identity(): Record<string, string> {
    return this.#token === "" ? {} : { token: this.#token };
  }

  async #authenticate(timeoutMs: number): Promise<void> {
    const { user } = this.#options;
    if (!user) return;
    const password = await readPassword(user);
    try {
      const { token } = await this.#auth.authenticate(
        { name: user.name, password },
        { timeoutMs },
      );
      this.#token = token;
    } catch (error) {
      // As long as it asks nobody who he is, it need not be told.
      if (!/authentication is not enabled/.test(String(error))) throw error;
      this.#token = "";
    }
  }
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
