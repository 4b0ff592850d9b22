import {
  Code,
  type ConnectError,
  type ConnectRouter,
} from "@connectrpc/connect";
import {
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from "@connectrpc/connect-node";
import { getLogger } from "@logtape/logtape";
import { quote } from "../../net/address.ts";
import {
  CallValues,
  type Connection,
  undoUndelivered,
} from "../access/call_context.ts";
import { clampDeadline } from "./deadline.ts";
import { encodeGrpcMessage } from "./envelope.ts";
import { refuseMalformed } from "./malformed.ts";
import type { RpcLimits } from "../limits/limits.ts";
import type { Monitor } from "./monitor.ts";
import type { OpenCall, OpenCalls } from "../limits/in_flight.ts";

type MethodHandler = ConnectRouter["handlers"][number];
/** A request of HTTP/1.1 or HTTP/2. */
type Request = Parameters<typeof universalRequestFromNodeRequest>[0];
/** Its response. */
type Response = Parameters<typeof universalResponseToNodeResponse>[1];

type UniversalRequest = ReturnType<typeof universalRequestFromNodeRequest>;

/** A request, its response, and what they go over. */
interface Exchange {
  readonly request: Request;
  readonly response: Response;
  readonly connection: Connection;
}

interface HttpCall extends OpenCall {
  /** When its answer began, in ms since 1970; infinite for streams, and until then. */
  answeredAt: number;
}

const log = getLogger(["stellar-net", "rpc"]);

/** Options of a handler. */
export interface CallHandlerOptions {
  /** Where calls are counted. */
  readonly calls: OpenCalls;
  readonly limits: RpcLimits;
  /** Answers what is no call. Undefined: nothing does. */
  readonly monitor: Monitor | undefined;
}

/**
 * Answers HTTP requests with the handlers of a router. Nothing that a client
 * sends makes `handle` throw.
 */
export class CallHandler {
  readonly #handlers: ReadonlyMap<string, MethodHandler>;
  readonly #limits: RpcLimits;
  readonly #calls: OpenCalls;
  readonly #monitor: Monitor | undefined;
  readonly #streamStop = new AbortController();
  /** What hears of an error of a connection: the last answer on it. */
  readonly #onError = new WeakMap<object, () => void>();

  constructor(router: ConnectRouter, options: CallHandlerOptions) {
    const { calls, limits, monitor } = options;
    this.#handlers = new Map(
      router.handlers.map((handler) => [handler.requestPath, handler]),
    );
    this.#limits = limits;
    this.#calls = calls;
    this.#monitor = monitor;
  }

  /** Answers a request. */
  handle(request: Request, response: Response, connection: Connection): void {
    // Without listeners an error of a connection would end the process.
    request.on("error", ignore);
    response.on("error", ignore);
    const path = (request.url ?? "").split("?", 1)[0]!;
    const handler = this.#handlers.get(path);
    if (handler) {
      this.#call(handler, { request, response, connection });
    } else if (this.#monitor?.has(path)) {
      this.#monitor.handle(request, response, connection.caller);
    } else {
      refuseUnknown(path, request, response);
    }
  }

  /** Ends all streams, and those that are still to come, with an error. */
  endStreams(reason: ConnectError): void {
    this.#streamStop.abort(reason);
  }

  #call(handler: MethodHandler, exchange: Exchange): void {
    const { request, response } = exchange;
    const call = this.#open(handler, exchange);
    let universal: UniversalRequest;
    try {
      universal = this.#read(handler, exchange);
    } catch (error) {
      log.debug("Cannot read a request: {error}", { error });
      response.writeHead(400);
      response.end();
      return;
    }
    try {
      this.#calls.add(call);
      response.once("close", () => this.#calls.delete(call));
      if (!isEndless(handler)) {
        universal.body = this.#count(call, universal.body);
      }
    } catch (error) {
      universal.body = failing(error);
    }
    handler(universal)
      .then(async (answer) => {
        // A refused request is read to its end: some clients see an error in
        // place of the answer when HTTP/2 tells them to send no more.
        if (answer.status !== 200) request.resume();
        const mended = inPieces(await refuseMalformed(answer));
        if (handler.method.methodKind === "unary") {
          call.answeredAt = performance.now();
        }
        await universalResponseToNodeResponse(mended, response);
      })
      .catch((error) => {
        // Most often the client has gone.
        log.debug("Cannot send an answer of {call}: {error}", {
          call: handler.requestPath,
          error,
        });
        response.destroy();
      });
    this.#watchDelivery(request, response, () => {
      void undoUndelivered(universal.contextValues);
    });
  }

  /**
   * Calls back when the answer does not reach its caller. What was handed to
   * the system counts as delivered once the connection goes on to another
   * request or ends without an error: a caller that is gone, or leaves without
   * reading, makes it fail.
   */
  #watchDelivery(
    request: Request,
    response: Response,
    onLost: () => void,
  ): void {
    response.once("close", () => {
      if (!response.writableFinished) onLost();
    });
    if (request.httpVersionMajor !== 1) return;
    const { socket } = request;
    const before = this.#onError.get(socket);
    if (before) socket.off("error", before);
    this.#onError.set(socket, onLost);
    socket.once("error", onLost);
  }

  #open(
    handler: MethodHandler,
    { request, response, connection }: Exchange,
  ): HttpCall {
    // The HTTP/1.1 server sees to slow requests itself.
    const mayBeLate = request.httpVersionMajor === 2 && !isEndless(handler);
    const { requestTimeoutMs } = this.#limits;
    const lateAt = performance.now() + requestTimeoutMs;
    const call: HttpCall = {
      share: connection.share,
      answeredAt: Infinity,
      check: (now) => {
        if (now - call.answeredAt > requestTimeoutMs) {
          response.destroy(new Error("the client does not read its answer"));
        } else if (request.readableLength > this.#limits.maxMessageBytes) {
          response.destroy(new Error("the client sends and does not read"));
        } else if (mayBeLate && now > lateAt && !request.complete) {
          response.destroy(new Error("the request does not come to its end"));
        }
      },
    };
    return call;
  }

  #read(
    handler: MethodHandler,
    { request, response, connection }: Exchange,
  ): UniversalRequest {
    const universal = universalRequestFromNodeRequest(
      request,
      response,
      undefined,
      new CallValues(connection),
    );
    if (handler.method.methodKind === "unary") {
      clampDeadline(universal.header, this.#limits.maxDeadlineMs);
    } else {
      clampDeadline(universal.header);
      universal.signal = AbortSignal.any([
        universal.signal,
        this.#streamStop.signal,
      ]);
    }
    return universal;
  }

  async *#count(
    call: OpenCall,
    body: UniversalRequest["body"],
  ): AsyncIterable<Uint8Array> {
    for await (const chunk of body as AsyncIterable<Uint8Array>) {
      this.#calls.receive(call, chunk.length);
      yield chunk;
    }
  }
}

/** Bytes that are handed to a connection at once: it keeps as many for as long as it lasts. */
const PIECE_BYTES = 16 * 1024;

type UniversalResponse = Parameters<typeof universalResponseToNodeResponse>[0];

function inPieces(answer: UniversalResponse): UniversalResponse {
  const { body } = answer;
  if (!body || body instanceof Uint8Array) return answer;
  return { ...answer, body: split(body) };
}

async function* split(
  body: AsyncIterable<Uint8Array>,
): AsyncIterable<Uint8Array> {
  for await (const chunk of body) {
    for (let at = 0; at < chunk.length; at += PIECE_BYTES) {
      yield chunk.subarray(at, at + PIECE_BYTES);
    }
  }
}

/** A body that cannot be read. */
// deno-lint-ignore require-yield
async function* failing(reason: unknown): AsyncGenerator<Uint8Array> {
  await Promise.reject(reason);
}

/** Whether a request goes on as long as its client likes. */
function isEndless({ method }: MethodHandler): boolean {
  return method.methodKind === "bidi_streaming" ||
    method.methodKind === "client_streaming";
}

/** Answers in the protocol of the request that there is no such call. */
function refuseUnknown(
  path: string,
  request: Request,
  response: Response,
): void {
  const message = `Cannot call ${quote(path)}: the agent has no such call`;
  request.resume();
  if (request.headers["content-type"]?.startsWith("application/grpc")) {
    response.writeHead(200, {
      "content-type": request.headers["content-type"],
      "grpc-status": String(Code.Unimplemented),
      "grpc-message": encodeGrpcMessage(message),
    });
    response.end();
  } else {
    response.writeHead(404, { "content-type": "application/json" });
    response.end(JSON.stringify({ code: "unimplemented", message }));
  }
}

function ignore(): void {}
