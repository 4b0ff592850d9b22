import { Buffer } from "node:buffer";
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
import type { TLSSocket } from "node:tls";

export interface EtcdConnectionOptions
  extends Pick<EtcdOptions, "tls" | "user"> {
  readonly endpoint: string;
  /** Time limit for connecting, and for a probe, in ms. */
  readonly connectTimeoutMs: number;
  /** A key that the user may read; it need not exist. */
  readonly probeKey: Uint8Array;
  /** Called with the id of the cluster at the other end; throws if it is the wrong one. */
  readonly checkCluster: (id: bigint) => void;
}

/** Most bytes of one answer: more than a page of the largest entries. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;

/** A timeout that gRPC can express: whole ms, at least one. */
export function wholeMs(ms: number): number {
  return Math.max(1, Math.ceil(ms));
}

/** A connection to one endpoint, which has answered a call. */
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

  /** Connects, authenticates, and checks the id of the cluster. */
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
      // A server that wants TLS gives no other sign.
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

  /** Resolves when the connection has ended. */
  get closed(): Promise<void> {
    return this.#session.closed;
  }

  /** Whether calls can be made. */
  get isOpen(): boolean {
    return this.#session.isOpen;
  }

  /** The member's certificate in PEM; undefined in plain text. */
  get certificate(): string | undefined {
    return this.#session.certificate;
  }

  /** Whether it was idle for so long that it may be broken. */
  get isQuiet(): boolean {
    return this.#session.isQuiet;
  }

  /** The headers of each call. With them a member without a leader refuses the call at once. */
  get headers(): Record<string, string> {
    return { hasleader: "true", ...this.#identity };
  }

  /** Checks that the member answers, also when it has no quorum. */
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

  /** Gets a new token, if there is a user. */
  renewToken(
    timeoutMs: number = this.#options.connectTimeoutMs,
  ): Promise<void> {
    return this.#renewal ??= this.#authenticate(timeoutMs).finally(() => {
      this.#renewal = undefined;
    });
  }

  /** Ends the connection and its calls. */
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
      // Without authentication etcd needs no token.
      if (!/authentication is not enabled/.test(String(error))) throw error;
      this.#token = "";
    }
  }
}

/** The certificate that the other end shows, in PEM. */
function readCertificate(socket: TLSSocket): string {
  const { raw } = socket.getPeerCertificate();
  const lines = Buffer.from(raw).toString("base64").match(/.{1,64}/g) ?? [];
  return ["-----BEGIN CERTIFICATE-----", ...lines, "-----END CERTIFICATE-----"]
    .join("\n");
}

export interface EtcdSessionOptions {
  /** Present for TLS. */
  readonly tls?: TlsMaterial;
  /** Time limit for connecting, in ms. */
  readonly connectTimeoutMs: number;
}

/**
 * Silence after which a session with open calls sends a ping, in ms. etcd ends
 * sessions that ping more often than every 5 s (`--grpc-keepalive-min-time`).
 */
const PING_INTERVAL_MS = 5_500;
/** Time limit for the answer to a ping, in ms. */
const PING_TIMEOUT_MS = 2_500;

/**
 * One HTTP/2 connection, as the session manager of a transport. It is never
 * replaced, so that its peer stays the same. While calls are open, it notices a
 * cut network within `PING_INTERVAL_MS + PING_TIMEOUT_MS`.
 */
class EtcdSession {
  readonly authority: string;
  /** The member's certificate in PEM; undefined in plain text. */
  readonly certificate: string | undefined;
  readonly #session: ClientHttp2Session;
  readonly #closed = Promise.withResolvers<void>();
  readonly #timer: ReturnType<typeof setInterval>;
  #streams = 0;
  #lastByteAt = performance.now();
  /** The time limit of a ping in flight. */
  #pingTimer: ReturnType<typeof setTimeout> | undefined;
  /** The server has announced that it closes the connection: no new calls. */
  #isClosing = false;

  private constructor(
    session: ClientHttp2Session,
    { origin, certificate }: {
      readonly origin: string;
      readonly certificate: string | undefined;
    },
  ) {
    this.#session = session;
    this.authority = origin;
    this.certificate = certificate;
    session.on("goaway", () => this.#isClosing = true);
    session.once("close", () => this.#end());
    this.#timer = setInterval(() => this.#checkAlive(), PING_TIMEOUT_MS / 5);
  }

  /** @throws the error of the connection */
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
    // It stays for ever: without a listener an error would end the process.
    session.on("error", reject);
    session.once("close", () => {
      clearTimeout(timer);
      reject(new ConnectError("the connection was closed", Code.Unavailable));
    });
    session.once("connect", (_, socket) => {
      clearTimeout(timer);
      if (session.destroyed) return;
      const certificate = tls
        ? readCertificate(socket as TLSSocket)
        : undefined;
      resolve(new EtcdSession(session, { origin, certificate }));
    });
    return promise;
  }

  /** Resolves when the connection has ended. */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  /** Whether calls can be made. */
  get isOpen(): boolean {
    return !this.#isClosing && !this.#session.closed &&
      !this.#session.destroyed;
  }

  /** Whether it was idle for so long that it may be broken. */
  get isQuiet(): boolean {
    return this.#streams === 0 && this.#isIdle;
  }

  request(
    method: string,
    path: string,
    headers: OutgoingHttpHeaders,
    options: ClientSessionRequestOptions,
  ): Promise<ClientHttp2Stream> {
    return Promise.try(() => {
      const stream = this.#open(
        { ...headers, ":method": method, ":path": path },
        options,
      );
      if (this.#streams++ === 0) this.#lastByteAt = performance.now();
      stream.once("close", () => this.#streams--);
      return stream;
    });
  }

  notifyResponseByteRead(): void {
    this.#lastByteAt = performance.now();
  }

  /** Ends the connection and its calls, and waits until they have ended. */
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
      // It has ended without an event so far.
      throw new Error("Nothing was sent", { cause });
    }
    throw new Error("Nothing was sent");
  }

  get #isIdle(): boolean {
    return performance.now() - this.#lastByteAt > PING_INTERVAL_MS;
  }

  #checkAlive(): void {
    if (this.#streams === 0 || this.#pingTimer || !this.#isIdle) return;
    // A ping on a destroyed session throws.
    if (this.#session.destroyed) return;
    this.#pingTimer = setTimeout(() => {
      void this.close(new ConnectError("PING timed out", Code.Unavailable));
    }, PING_TIMEOUT_MS);
    this.#session.ping((error) => {
      this.#endPing();
      if (!error) this.#lastByteAt = performance.now();
    });
  }

  #endPing(): void {
    clearTimeout(this.#pingTimer);
    this.#pingTimer = undefined;
  }

  #end(): void {
    clearInterval(this.#timer);
    this.#endPing();
    this.#closed.resolve();
  }
}
