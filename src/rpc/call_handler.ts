import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import { Code, ConnectError, type ConnectRouter } from "@connectrpc/connect";
import {
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from "@connectrpc/connect-node";
import { getLogger } from "@logtape/logtape";
import { clampDeadline } from "./deadline.ts";
import type { RpcLimits } from "./limits.ts";

type MethodHandler = ConnectRouter["handlers"][number];
type Request = IncomingMessage | Http2ServerRequest;
type Response = ServerResponse | Http2ServerResponse;

/** A call that is under way. */
interface Call {
  readonly request: Request;
  readonly response: Response;
  readonly handler: MethodHandler;
  readonly startedAt: number;
}

const SWEEP_INTERVAL_MS = 1000;
const TOO_LARGE_STATUS = 431;

const log = getLogger(["stellar-net", "rpc"]);

/**
 * Answers HTTP requests with the handlers of a router, and knows which calls
 * are under way. Nothing that a client sends makes `handle` throw.
 */
export class CallHandler {
  readonly #handlers: ReadonlyMap<string, MethodHandler>;
  readonly #limits: RpcLimits;
  readonly #calls = new Set<Call>();
  readonly #streamStop = new AbortController();
  readonly #sweep: ReturnType<typeof setInterval>;

  constructor(router: ConnectRouter, limits: RpcLimits) {
    this.#handlers = new Map(
      router.handlers.map((handler) => [handler.requestPath, handler]),
    );
    this.#limits = limits;
    this.#sweep = setInterval(() => this.#cutSlow(), SWEEP_INTERVAL_MS);
  }

  /** Answers a request. */
  handle(request: Request, response: Response): void {
    // Without listeners an error of a connection would end the process.
    request.on("error", ignore);
    response.on("error", ignore);
    if (headerBytes(request) > this.#limits.maxHeaderBytes) {
      response.writeHead(TOO_LARGE_STATUS).end();
      return;
    }
    const path = (request.url ?? "").split("?", 1)[0]!;
    const handler = this.#handlers.get(path);
    if (handler) this.#call(handler, request, response);
    else refuseUnknown(path, request, response);
  }

  /** How many calls are under way. */
  get count(): number {
    return this.#calls.size;
  }

  /** Ends all streams, and those that are still to come, with an error. */
  endStreams(reason: ConnectError): void {
    this.#streamStop.abort(reason);
  }

  /** Stops the handler's timer. */
  close(): void {
    clearInterval(this.#sweep);
  }

  #call(handler: MethodHandler, request: Request, response: Response): void {
    const call = { request, response, handler, startedAt: Date.now() };
    this.#calls.add(call);
    response.once("close", () => this.#calls.delete(call));
    const streaming = handler.method.methodKind !== "unary";
    let universal: ReturnType<typeof universalRequestFromNodeRequest>;
    try {
      universal = universalRequestFromNodeRequest(
        request,
        response,
        undefined,
        undefined,
      );
    } catch (error) {
      log.debug("Cannot read a request: {error}", { error });
      response.writeHead(400).end();
      return;
    }
    clampDeadline(
      universal.header,
      streaming ? undefined : this.#limits.maxDeadlineMs,
    );
    if (streaming) {
      universal.signal = AbortSignal.any([
        universal.signal,
        this.#streamStop.signal,
      ]);
    }
    handler(universal)
      .then((answer) => universalResponseToNodeResponse(answer, response))
      .catch((error) => {
        // Most often the client has gone.
        log.debug("Cannot send an answer of {call}: {error}", {
          call: handler.requestPath,
          error,
        });
        response.destroy();
      });
  }

  /** Cuts off requests that do not come to their end. */
  #cutSlow(): void {
    const since = Date.now() - this.#limits.requestTimeoutMs;
    for (const { request, response, handler, startedAt } of this.#calls) {
      const kind = handler.method.methodKind;
      const endless = kind === "bidi_streaming" || kind === "client_streaming";
      if (startedAt < since && !endless && !request.complete) {
        response.destroy(new ConnectError("request timeout", Code.Canceled));
      }
    }
  }
}

function headerBytes(request: Request): number {
  let bytes = 0;
  for (const text of request.rawHeaders) bytes += text.length;
  return bytes;
}

/** Answers in the protocol of the request that there is no such call. */
function refuseUnknown(
  path: string,
  request: Request,
  response: Response,
): void {
  const message = `Cannot call ${
    JSON.stringify(path)
  }: the agent has no such call`;
  request.resume();
  if (request.headers["content-type"]?.startsWith("application/grpc")) {
    response.writeHead(200, {
      "content-type": request.headers["content-type"],
      "grpc-status": String(Code.Unimplemented),
      "grpc-message": encodeURIComponent(message),
    }).end();
  } else {
    response.writeHead(404, { "content-type": "application/json" });
    response.end(JSON.stringify({ code: "unimplemented", message }));
  }
}

function ignore(): void {}
