import {
  constants,
  createServer,
  type Http2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type Http2Session,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { Socket } from "node:net";
import { setImmediate } from "node:timers";
import { getLogger } from "@logtape/logtape";
import { type Connection, LOST_CONNECTION } from "../access/call_context.ts";
import type { RpcLimits } from "../limits/limits.ts";
import type { Refusals } from "../limits/clients.ts";

/** Request Header Fields Too Large (RFC 6585). */
const TOO_LARGE_STATUS = 431;

const log = getLogger(["stellar-net", "rpc"]);

export interface Http2SessionsOptions {
  readonly limits: RpcLimits;
  readonly refusals: Refusals;
  /** Answers a stream and returns true, or returns false. */
  readonly acceptStream: (
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    connection: Connection,
  ) => boolean;
  /** Answers a request: a stream that was not accepted. */
  readonly handle: (
    request: Http2ServerRequest,
    response: Http2ServerResponse,
    connection: Connection,
  ) => void;
}

/** Speaks HTTP/2 on accepted connections. */
export class Http2Sessions {
  readonly #server: Http2Server;
  readonly #sessions = new Set<ServerHttp2Session>();
  readonly #connections = new WeakMap<object, Connection>();
  readonly #limits: RpcLimits;
  readonly #refusals: Refusals;
  /** The connection that `accept` takes over at the moment. */
  #accepted = LOST_CONNECTION;

  constructor(options: Http2SessionsOptions) {
    const { limits, refusals } = options;
    this.#limits = limits;
    this.#refusals = refusals;
    this.#server = createServer({
      settings: {
        maxConcurrentStreams: limits.maxStreams,
        maxHeaderListSize: limits.maxHeaderBytes,
      },
    }, (request, response) => {
      options.handle(request, response, this.#connectionOf(request.stream));
    });
    // Node makes a request of a stream only after we have seen it.
    const [makeRequest] = this.#server.listeners("stream");
    this.#server.removeAllListeners("stream");
    this.#server.on("stream", (stream, headers, ...rest) => {
      const typed = stream as ServerHttp2Stream;
      // Without a listener an error of a connection would end the process.
      typed.on("error", ignore);
      const connection = this.#connectionOf(typed);
      if (headerBytes(headers) > limits.maxHeaderBytes) {
        typed.respond({ ":status": TOO_LARGE_STATUS }, { endStream: true });
        typed.resume();
      } else if (!options.acceptStream(typed, headers, connection)) {
        makeRequest!.call(this.#server, stream, headers, ...rest);
      }
    });
    this.#server.on("session", (session) => this.#track(session));
    this.#server.on("sessionError", (error) => {
      log.debug("Cannot go on with an HTTP/2 connection: {error}", { error });
    });
  }

  /** Takes over a connection whose first bytes were put back. */
  accept(socket: Socket, connection: Connection): void {
    // The server creates the session within this call. Later the session does not
    // reveal its socket.
    this.#accepted = connection;
    this.#server.emit("connection", socket);
    this.#accepted = LOST_CONNECTION;
  }

  /** Lets in-flight calls finish and takes no more. */
  closeGracefully(): void {
    for (const session of this.#sessions) session.close();
  }

  /** Ends all connections at once. */
  destroy(): void {
    for (const session of this.#sessions) {
      session.destroy(undefined, constants.NGHTTP2_CANCEL);
    }
  }

  #connectionOf({ session }: ServerHttp2Stream): Connection {
    return session && this.#connections.get(session) || LOST_CONNECTION;
  }

  #track(session: ServerHttp2Session): void {
    deferEnd(session);
    this.#connections.set(session, this.#accepted);
    this.#sessions.add(session);
    this.#bound(session);
    const timer = setTimeout(
      () => session.destroy(undefined, constants.NGHTTP2_SETTINGS_TIMEOUT),
      this.#limits.headerTimeoutMs,
    );
    session.once("remoteSettings", () => clearTimeout(timer));
    session.once("close", () => {
      clearTimeout(timer);
      this.#sessions.delete(session);
    });
    session.on("error", (error) => {
      log.debug("Cannot go on with an HTTP/2 connection: {error}", { error });
    });
  }

  /** Ends a session whose client floods it with frames that need an answer. nghttp2
   * itself ends other floods (streams reset at once, continuations, empty frames).
   */
  #bound(session: ServerHttp2Session): void {
    const { maxPingsPerSecond, maxSettingsPerSecond } = this.#limits;
    const bounds = [
      ["ping", "PING", new Meter(maxPingsPerSecond)],
      ["remoteSettings", "SETTINGS", new Meter(maxSettingsPerSecond)],
    ] as const;
    for (const [event, frames, meter] of bounds) {
      session.on(event, () => {
        if (session.destroyed || !meter.isFull()) return;
        const { caller } = this.#connections.get(session) ?? LOST_CONNECTION;
        this.#refusals.report({
          from: "address" in caller ? caller.address : "the unix socket",
          why: `it floods an HTTP/2 connection with ${frames} frames`,
        });
        session.destroy(undefined, constants.NGHTTP2_ENHANCE_YOUR_CALM);
      });
    }
  }
}

/** Counts events within a second. */
class Meter {
  readonly #most: number;
  #fromMs = -Infinity;
  #count = 0;

  constructor(most: number) {
    this.#most = most;
  }

  /** Counts one more. Returns whether it is one too many. */
  isFull(): boolean {
    const nowMs = performance.now();
    if (nowMs - this.#fromMs >= 1000) {
      this.#fromMs = nowMs;
      this.#count = 0;
    }
    return ++this.#count > this.#most;
  }
}

/** Defers the end of a session until the current frame has been processed.
 *
 * In Deno 2.9.6 the callback for a received GOAWAY frame ends a session
 * without streams at once, and frees memory that is read afterwards: the process dies (https://github.com/denoland/deno/issues/36788). Any client that hangs
 * up could do that to the agent.
 */
export function deferEnd(session: Http2Session): void {
  const close = session.close.bind(session);
  const destroy = session.destroy.bind(session);
  session.close = (...args) => void setImmediate(() => close(...args));
  session.destroy = (...args) => void setImmediate(() => destroy(...args));
}

/** Bytes of header fields as HTTP/2 counts them (RFC 9113 section 6.5.2). */
function headerBytes(headers: IncomingHttpHeaders): number {
  let bytes = 0;
  for (const name in headers) {
    if (!Object.hasOwn(headers, name)) continue;
    bytes += name.length + String(headers[name]).length + 32;
  }
  return bytes;
}

function ignore(): void {}
