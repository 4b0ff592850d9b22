import { type Client, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { NetError } from "../../base/error.ts";
import { Auth, KV, Watch } from "../../gen/etcd/etcd_pb.ts";
import { type EtcdOptions, readPassword, readTls } from "./options.ts";
import { EtcdSession } from "./session.ts";

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
