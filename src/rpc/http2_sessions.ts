import {
  constants,
  createServer,
  type Http2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from "node:http2";
import type { Socket } from "node:net";
import { setImmediate } from "node:timers";
import { getLogger } from "@logtape/logtape";
import type { RpcLimits } from "./limits.ts";

const log = getLogger(["stellar-net", "rpc"]);

/** Speaks HTTP/2 on connections that others have accepted. */
export class Http2Sessions {
  readonly #server: Http2Server;
  readonly #sessions = new Set<ServerHttp2Session>();
  readonly #limits: RpcLimits;

  constructor(
    handle: (
      request: Http2ServerRequest,
      response: Http2ServerResponse,
    ) => void,
    limits: RpcLimits,
  ) {
    this.#limits = limits;
    this.#server = createServer({
      settings: {
        maxConcurrentStreams: limits.maxStreams,
        maxHeaderListSize: limits.maxHeaderBytes,
      },
    }, handle);
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
function deferEnd(session: ServerHttp2Session): void {
  const close = session.close.bind(session);
  const destroy = session.destroy.bind(session);
  session.close = (...args) => void setImmediate(() => close(...args));
  session.destroy = (...args) => void setImmediate(() => destroy(...args));
}
