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
import type { RpcLimits } from "./limits.ts";

/** Request Header Fields Too Large (RFC 6585). */
const TOO_LARGE_STATUS = 431;

const log = getLogger(["stellar-net", "rpc"]);

/** Options of HTTP/2 sessions. */
export interface Http2SessionsOptions {
  readonly limits: RpcLimits;
  /** Answers a stream itself, if it returns true. */
  readonly acceptStream: (
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
  ) => boolean;
  /** Answers a request: a stream that was not accepted. */
  readonly handle: (
    request: Http2ServerRequest,
    response: Http2ServerResponse,
  ) => void;
}

/** Speaks HTTP/2 on connections that others have accepted. */
export class Http2Sessions {
  readonly #server: Http2Server;
  readonly #sessions = new Set<ServerHttp2Session>();
  readonly #limits: RpcLimits;

  constructor(options: Http2SessionsOptions) {
    const { limits } = options;
    this.#limits = limits;
    this.#server = createServer({
      settings: {
        maxConcurrentStreams: limits.maxStreams,
        maxHeaderListSize: limits.maxHeaderBytes,
      },
    }, options.handle);
    // What makes requests of streams comes behind our look at them.
    const [makeRequest] = this.#server.listeners("stream");
    this.#server.removeAllListeners("stream");
    this.#server.on("stream", (stream, headers, ...rest) => {
      const typed = stream as ServerHttp2Stream;
      // Without a listener an error of a connection would end the process.
      typed.on("error", ignore);
      if (headerBytes(headers) > limits.maxHeaderBytes) {
        typed.respond({ ":status": TOO_LARGE_STATUS }, { endStream: true });
        typed.resume();
      } else if (!options.acceptStream(typed, headers)) {
        makeRequest!.call(this.#server, stream, headers, ...rest);
      }
    });
    this.#server.on("session", (session) => this.#track(session));
    this.#server.on("sessionError", (error) => {
      log.debug("Cannot go on with an HTTP/2 connection: {error}", { error });
    });
  }

  /** Takes a connection over, with what was read of it put back. */
  accept(socket: Socket): void {
    this.#server.emit("connection", socket);
  }

  /** Lets the calls under way finish and takes no more. */
  closeGracefully(): void {
    for (const session of this.#sessions) session.close();
  }

  /** Ends all connections at once. */
  destroy(): void {
    for (const session of this.#sessions) {
      session.destroy(undefined, constants.NGHTTP2_CANCEL);
    }
  }

  #track(session: ServerHttp2Session): void {
    deferEnd(session);
    this.#sessions.add(session);
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
}

/**
 * Puts the end of a session off until the frame in hand has been dealt with.
 *
 * In Deno 2.9.6 the callback for a received GOAWAY frame ends a session
 * without streams at once, and frees memory that is then read: the process
 * dies (https://github.com/denoland/deno/issues/36788). Any client that hangs
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
