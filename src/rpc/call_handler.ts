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
import { quote } from "../net/address.ts";
import { clampDeadline } from "./deadline.ts";
import { encodeGrpcMessage } from "./grpc_status.ts";
import type { RpcLimits } from "./limits.ts";
import type { OpenCall, OpenCalls } from "./open_calls.ts";

type MethodHandler = ConnectRouter["handlers"][number];
/** A request of HTTP/1.1 or HTTP/2. */
type Request = Parameters<typeof universalRequestFromNodeRequest>[0];
/** Its response. */
type Response = Parameters<typeof universalResponseToNodeResponse>[1];

const log = getLogger(["stellar-net", "rpc"]);

/**
 * Answers HTTP requests with the handlers of a router. Nothing that a client
 * sends makes `handle` throw.
 */
export class CallHandler {
  readonly #handlers: ReadonlyMap<string, MethodHandler>;
  readonly #limits: RpcLimits;
  readonly #calls: OpenCalls;
  readonly #streamStop = new AbortController();

  constructor(router: ConnectRouter, calls: OpenCalls, limits: RpcLimits) {
    this.#handlers = new Map(
      router.handlers.map((handler) => [handler.requestPath, handler]),
    );
    this.#limits = limits;
    this.#calls = calls;
  }

  /** Answers a request. */
  handle(request: Request, response: Response): void {
    // Without listeners an error of a connection would end the process.
    request.on("error", ignore);
    response.on("error", ignore);
    const path = (request.url ?? "").split("?", 1)[0]!;
    const handler = this.#handlers.get(path);
    if (handler) this.#call(handler, request, response);
    else refuseUnknown(path, request, response);
  }

  /** Ends all streams, and those that are still to come, with an error. */
  endStreams(reason: ConnectError): void {
    this.#streamStop.abort(reason);
  }

  #call(handler: MethodHandler, request: Request, response: Response): void {
    const kind = handler.method.methodKind;
    const endless = kind === "bidi_streaming" || kind === "client_streaming";
    const isHttp1 = request.httpVersionMajor === 1;
    const lateAt = Date.now() + this.#limits.requestTimeoutMs;
    const call: OpenCall = {
      check: (now) => {
        // The HTTP/1.1 server sees to its requests itself.
        if (now < lateAt || endless || request.complete || isHttp1) return;
        response.destroy(new Error("the request does not come to its end"));
      },
    };
    this.#calls.add(call);
    response.once("close", () => this.#calls.delete(call));
    const streaming = kind !== "unary";
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
      response.writeHead(400);
      response.end();
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
      .then((answer) => {
        // A refused request is read to its end: some clients see an error in
        // place of the answer when HTTP/2 tells them to send no more.
        if (answer.status !== 200) request.resume();
        return universalResponseToNodeResponse(answer, response);
      })
      .catch((error) => {
        // Most often the client has gone.
        log.debug("Cannot send an answer of {call}: {error}", {
          call: handler.requestPath,
          error,
        });
        response.destroy();
      });
  }
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
