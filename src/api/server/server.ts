import {
  Code,
  ConnectError,
  type ConnectRouter,
  createConnectRouter,
} from "@connectrpc/connect";
import { compressionBrotli, compressionGzip } from "@connectrpc/connect-node";
import { setImmediate } from "node:timers";
import { getLogger } from "@logtape/logtape";
import type { ListenAddress } from "../../config/config.ts";
import type { ApiServer, ListenTcpOptions } from "../../agent/daemon.ts";
import { authorizing } from "../access/authorize.ts";
import { ConnectCalls } from "./connect.ts";
import type { CallMetrics } from "../../metrics/counters.ts";
import { createHealth, type Health } from "./health.ts";
import { Http2Sessions } from "./http2_sessions.ts";
import { DEFAULT_LIMITS, type RpcLimits } from "../limits/limits.ts";
import { Listener, listenOnTcp } from "./listener.ts";
import type { Monitor } from "./monitor.ts";
import { ClientLimits, Refusals } from "../limits/clients.ts";
import { InFlightCalls } from "../limits/in_flight.ts";
import { createReflection } from "./reflection.ts";
import type { TlsCredentials } from "../tls/credentials.ts";
import { answerCalls, type Tracing } from "./call.ts";
import { GrpcCalls } from "./grpc.ts";
import {
  bindSocketFile,
  removeSocketFile,
  type SocketFile,
} from "./unix_socket.ts";

const GRACE_MS = 10_000;

const log = getLogger(["stellar-net", "rpc"]);

/** What a server serves. */
export interface RpcServerOptions {
  /** Puts the services on a router. Health and reflection come with the server. */
  readonly routes: (router: ConnectRouter) => void;
  /** Where they differ from DEFAULT_LIMITS. */
  readonly limits?: Partial<RpcLimits>;
  /** Default: calls are not counted. */
  readonly metrics?: CallMetrics;
  /** Number of the group that can use unix sockets besides their owner. Default: nobody. */
  readonly socketGroupId?: number | undefined;
  /** Default: calls are not traced. */
  readonly tracing?: Tracing | undefined;
  /** Tells those who watch over the agent how it is. Default: nothing does. */
  readonly monitor?: Monitor;
  /** What TLS is spoken with. Default: it cannot be. */
  readonly tls?: TlsCredentials | undefined;
}

/**
 * Serves an API as gRPC, gRPC-Web and Connect over HTTP/2 (prior knowledge)
 * and HTTP/1.1, all of them at each place that it listens at.
 */
export interface RpcServer extends ApiServer {
  /** Tells clients which services are serving. All are, until the server closes. */
  readonly health: Health;
  /**
   * Listens on a TCP address. The answer has the port that was taken.
   *
   * @throws {NetError} naming the address and what is in the way
   */
  listenTcp(
    address: ListenAddress,
    options?: ListenTcpOptions,
  ): Promise<ListenAddress>;
  /** Listens on a TCP address for HTTP/1.1 requests to the monitor alone, as `listenTcp` does. */
  listenMetrics(address: ListenAddress): Promise<ListenAddress>;
  /**
   * Listens on a unix socket that only its owner can use, and the group of the
   * options. A missing folder is made, a socket on which nothing listens is
   * replaced.
   *
   * @throws {NetError} naming the path and what is in the way
   */
  listenUnix(path: string): Promise<void>;
  /**
   * Takes no more calls, ends streams, lets the other calls finish, and cuts
   * off what is not done in `graceMs` (default 10,000). Closing again waits
   * for the first.
   */
  close(options?: { readonly graceMs?: number }): Promise<void>;
}

/** Makes a server. It has to be closed, even if it never listened. */
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
    acceptStream: (...call) => grpc.accept(...call),
    handle: (...call) => connect.handle(...call),
  });
  const shared = { limits, clients, refusals };
  const listeners: Listener[] = [];
  const files: SocketFile[] = [];
  let closing: Promise<void> | undefined;

  function createListener(
    place: "unix" | "tcp",
    { isSecure }: ListenTcpOptions,
  ): Listener {
    const { tls } = options;
    if (isSecure && !tls) {
      throw new TypeError("Cannot speak TLS: the server has no certificate");
    }
    return new Listener({
      ...shared,
      place,
      tls: isSecure ? tls : undefined,
      handle: (...call) => connect.handle(...call),
      acceptHttp2: (...accepted) => http2.accept(...accepted),
    });
  }

  function createMonitorListener(): Listener {
    return new Listener({
      ...shared,
      place: "tcp",
      handle: (request, response) =>
        monitor ? monitor.handle(request, response) : response.destroy(),
      // It speaks HTTP/1.1 alone.
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

  async function close(graceMs: number): Promise<void> {
    health.setAll(false);
    monitor?.stop();
    for (const listener of listeners) listener.stop();
    files.forEach(remove);
    // Whoever watches the health is told before the streams end.
    await new Promise((resolve) => setImmediate(resolve));
    connect.endStreams(
      new ConnectError("the agent is stopping", Code.Unavailable),
    );
    http2.closeGracefully();
    const ended = Promise.all(listeners.map((listener) => listener.empty()));
    if (!await isDoneWithin(graceMs, ended)) {
      log.warn("Cutting off {count} calls that are not done in {graceMs} ms", {
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
    listenTcp: (address, listenOptions = { isSecure: false }) =>
      listenAt(createListener("tcp", listenOptions), address, "--listen"),
    listenMetrics: (address) =>
      listenAt(createMonitorListener(), address, "--metrics"),
    async listenUnix(path) {
      const listener = createListener("unix", { isSecure: false });
      try {
        files.push(
          await bindSocketFile(path, (path) => listener.listen({ path }), {
            groupId: options.socketGroupId,
          }),
        );
      } catch (error) {
        listener.stop();
        throw error;
      }
      listeners.push(listener);
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
  });
  const recorder = grpc.record(router);
  options.routes(recorder);
  const services = () => new Set(router.handlers.map(({ service }) => service));
  const health = createHealth([...services()].map(({ typeName }) => typeName));
  // They name no node, and change nothing.
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
