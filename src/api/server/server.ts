import {
  Code,
  ConnectError,
  type ConnectRouter,
  createConnectRouter,
} from "@connectrpc/connect";
import { compressionBrotli, compressionGzip } from "@connectrpc/connect-node";
import { setImmediate } from "node:timers";
import { getLogger } from "@logtape/logtape";
import { isLoopback } from "../../net/address.ts";
import type { ListenAddress } from "../../config/config.ts";
import type { ApiServer, ListenTcpOptions } from "../../agent/daemon.ts";
import { authorizing } from "../access/authorize.ts";
import { ConnectCalls, type LocalAnswer, type LocalCall } from "./connect.ts";
import type { CallMetrics } from "../../metrics/counters.ts";
import { createHealth, type Health } from "./health.ts";
import { Http2Sessions } from "./http2_sessions.ts";
import { DEFAULT_LIMITS, type RpcLimits } from "../limits/limits.ts";
import { Listener, listenOnTcp, type OtherProtocol } from "./listener.ts";
import type { Monitor } from "./monitor.ts";
import { ClientLimits, Refusals } from "../limits/clients.ts";
import { InFlightCalls } from "../limits/in_flight.ts";
import { createReflection } from "./reflection.ts";
import type { TlsCredentials } from "../tls/credentials.ts";
import { answerCalls, type Tracing } from "./call.ts";
import { GrpcCalls } from "./grpc.ts";
import {
  bindSocketFile,
  isSocketGone,
  removeSocketFile,
  type SocketFile,
} from "./unix_socket.ts";

const GRACE_MS = 10_000;

const log = getLogger(["stellar-net", "rpc"]);

/** The services and the limits of a server. */
export interface RpcServerOptions {
  /** Puts the services on a router. The server adds health and reflection. */
  readonly routes: (router: ConnectRouter) => void;
  /** Overrides of DEFAULT_LIMITS. */
  readonly limits?: Partial<RpcLimits>;
  /** Default: none. */
  readonly metrics?: CallMetrics;
  /** Number of the group that can use unix sockets besides their owner. Default: none. */
  readonly socketGroupId?: number | undefined;
  /** The protocol that unix sockets serve besides HTTP. Default: none. */
  readonly other?: OtherProtocol | undefined;
  /** Default: none. */
  readonly tracing?: Tracing | undefined;
  /** Answers `/metrics`, `/healthz` and `/readyz`. Default: none. */
  readonly monitor?: Monitor;
  /** Credentials for TLS. Default: plain text only. */
  readonly tls?: TlsCredentials | undefined;
}

/** Serves an API as gRPC, gRPC-Web and Connect over HTTP/2 (prior knowledge)
 * and HTTP/1.1 at each place where it listens.
 */
export interface RpcServer extends ApiServer {
  /** The health of the services: all serve until the server closes. */
  readonly health: Health;
  /** Answers a unary call of this process itself. */
  readonly ask: (call: LocalCall) => Promise<LocalAnswer>;
  /** Listens on a TCP address. Resolves with the port in use.
   *
   * @throws {NetError} naming the address and the obstacle
   */
  listenTcp(
    address: ListenAddress,
    options?: ListenTcpOptions,
  ): Promise<ListenAddress>;
  /** Listens on a TCP address for HTTP/1.1 requests to the monitor alone, as `listenTcp` does. */
  listenMetrics(address: ListenAddress): Promise<ListenAddress>;
  /** Listens on a unix socket for its owner and the group of the options. It makes
   * a missing folder, and replaces a socket that nothing listens on.
   *
   * @throws {NetError} naming the path and the obstacle
   */
  listenUnix(path: string): Promise<void>;
  /** Takes no more calls, ends streams, lets the other calls finish, and aborts
   * those that last longer than `graceMs` (default 10,000). A second call waits for
   * the first.
   */
  close(options?: { readonly graceMs?: number }): Promise<void>;
}

/** Makes a server. Close it even if it never listened. */
export function createRpcServer(options: RpcServerOptions): RpcServer {
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const calls = new InFlightCalls(limits.maxReceivedBytes);
  const { metrics, tracing, monitor } = options;
  const grpc = new GrpcCalls({ calls, limits, metrics, tracing });
  const { router, health } = createRouter(options, { limits, grpc });
  const connect = new ConnectCalls(router, { calls, limits, monitor });
  const refusals = new Refusals();
  const clients = new ClientLimits(limits, refusals);
  const http2 = new Http2Sessions({
    limits,
    refusals,
    acceptStream: grpc.accept,
    handle: connect.handle,
  });
  const shared = { limits, clients, refusals };
  const listeners: Listener[] = [];
  /** The files of unix sockets, each with its listener. */
  const files = new Map<string, { file: SocketFile; listener: Listener }>();
  let closing: Promise<void> | undefined;

  function createListener(
    place: "unix" | "tcp",
    { isSecure, acceptsOthers = false }: ListenTcpOptions,
  ): Listener {
    const { tls } = options;
    if (isSecure && !tls) {
      throw new TypeError("Cannot speak TLS: the server has no certificate");
    }
    return new Listener({
      ...shared,
      place,
      other: place === "unix" ? options.other : undefined,
      acceptsOthers,
      tls: isSecure ? tls : undefined,
      handle: connect.handle,
      acceptHttp2: (...accepted) => http2.accept(...accepted),
    });
  }

  function createMonitorListener({ hostname }: ListenAddress): Listener {
    return new Listener({
      ...shared,
      place: "tcp",
      // A client of another host reaches loopback by route_localnet alone.
      acceptsOthers: !isLoopback(hostname),
      handle: (request, response, { caller }) =>
        monitor
          ? monitor.handle(request, response, { caller, isPublic: true })
          : response.destroy(),
      // It speaks only HTTP/1.1.
      acceptHttp2: (socket) => socket.destroy(),
    });
  }

  async function listenAt(
    listener: Listener,
    address: ListenAddress,
    flag: string,
  ): Promise<ListenAddress> {
    const bound = await listenOnTcp(listener, address, { flag });
    listeners.push(listener);
    return bound;
  }

  async function listenUnix(path: string): Promise<void> {
    const listener = createListener("unix", { isSecure: false });
    try {
      const file = await bindSocketFile(
        path,
        (path) => listener.listen({ path }),
        { groupId: options.socketGroupId },
      );
      files.set(path, { file, listener });
    } catch (error) {
      listener.stop();
      throw error;
    }
    listeners.push(listener);
  }

  async function close(graceMs: number): Promise<void> {
    health.setAll(false);
    monitor?.stop();
    for (const listener of listeners) listener.stop();
    for (const { file } of files.values()) remove(file);
    // Watchers of the health get the change before their streams end.
    await new Promise((resolve) => setImmediate(resolve));
    connect.endStreams(
      new ConnectError("the agent is stopping", Code.Unavailable),
    );
    http2.closeGracefully();
    const ended = Promise.all(listeners.map((listener) => listener.empty()));
    if (!await isDoneWithin(graceMs, ended)) {
      log.warn("Aborting {count} calls that did not finish in {graceMs} ms", {
        count: calls.count,
        graceMs,
      });
    }
    http2.destroy();
    for (const listener of listeners) listener.destroy();
    calls.close();
  }

  return {
    health,
    ask: (call) => connect.ask(call),
    listenTcp: (address, listenOptions = { isSecure: false }) =>
      listenAt(createListener("tcp", listenOptions), address, "--listen"),
    listenMetrics: (address) =>
      listenAt(createMonitorListener(address), address, "--metrics"),
    listenUnix,
    async restoreSockets() {
      let isRestored = false;
      for (const [path, { file, listener }] of [...files]) {
        if (closing || !await isSocketGone(file)) continue;
        await listenUnix(path);
        // Nobody can reach the old one; its connections go on.
        listener.stop();
        isRestored = true;
        log.warn("Made the socket {path} again: its file was gone", { path });
      }
      return isRestored;
    },
    close: ({ graceMs = GRACE_MS } = {}) => closing ??= close(graceMs),
  };
}

function createRouter(
  options: RpcServerOptions,
  { limits, grpc }: {
    readonly limits: RpcLimits;
    readonly grpc: GrpcCalls;
  },
): { readonly router: ConnectRouter; readonly health: Health } {
  const router = createConnectRouter({
    interceptors: [answerCalls(options)],
    readMaxBytes: limits.maxMessageBytes,
    acceptCompression: [compressionGzip, compressionBrotli],
    // A field with a typing error must not count as one that is missing.
    jsonOptions: { ignoreUnknownFields: false },
  });
  const recorder = grpc.record(router);
  options.routes(recorder);
  const services = () => new Set(router.handlers.map(({ service }) => service));
  const health = createHealth([...services()].map(({ typeName }) => typeName));
  // Their requests name no node, and they change nothing.
  const asked = { node: "", now: Date.now };
  health.routes(authorizing(recorder, asked));
  createReflection(services).routes(authorizing(router, asked));
  return { router, health };
}

function remove(file: SocketFile): void {
  try {
    removeSocketFile(file);
  } catch (error) {
    log.warn("Cannot remove {path}: {error}", { path: file.path, error });
  }
}

async function isDoneWithin(
  ms: number,
  work: Promise<unknown>,
): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => resolve(false), ms);
  try {
    return await Promise.race([work.then(() => true), promise]);
  } finally {
    clearTimeout(timer);
  }
}
