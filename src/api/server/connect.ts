import { Code, ConnectError, type ConnectRouter } from "@connectrpc/connect";
import {
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from "@connectrpc/connect-node";
import {
  codeFromString,
  errorToJson,
} from "@connectrpc/connect/protocol-connect";
import { Buffer } from "node:buffer";
import { getLogger } from "@logtape/logtape";
import { escapeUnsafe, quote } from "../../net/address.ts";
import {
  CallValues,
  type Connection,
  SOCKET_CONNECTION,
} from "../access/call_context.ts";
import type { InFlightCall, InFlightCalls } from "../limits/in_flight.ts";
import type { RpcLimits } from "../limits/limits.ts";
import { addDetails } from "../messages/errors.ts";
import { formatGrpcStatus } from "./grpc.ts";
import { answerWebText, WEB_TEXT } from "./grpc_web_text.ts";
import { clampDeadline, type Refusal, refusePage } from "./call.ts";
import type { Monitor } from "./monitor.ts";

type MethodHandler = ConnectRouter["handlers"][number];
/** A request of HTTP/1.1 or HTTP/2. */
type Request = Parameters<typeof universalRequestFromNodeRequest>[0];
type Response = Parameters<typeof universalResponseToNodeResponse>[1];

type UniversalRequest = ReturnType<typeof universalRequestFromNodeRequest>;
type UniversalResponse = Parameters<typeof universalResponseToNodeResponse>[0];

/** A request, its response, and their connection. */
interface Exchange {
  readonly request: Request;
  readonly response: Response;
  readonly connection: Connection;
}

/** A call of this process itself. */
export interface LocalCall {
  /** Path of the request, such as `/stellar.net.v1.IpamService/Allocate`. */
  readonly path: string;
  readonly timeoutMs: number;
  /** The message as JSON. */
  readonly body: Uint8Array;
  /** Aborted when the caller does not want the answer any more. */
  readonly signal: AbortSignal;
}

/** The answer to such a call. */
export interface LocalAnswer {
  /** Status of HTTP. */
  readonly status: number;
  readonly body: Uint8Array;
  /** Tells whether the caller has got the answer. */
  settle(isDelivered: boolean): void;
}

interface HttpCall extends InFlightCall {
  /** When its answer began, in ms since 1970; infinite for streams, and until then. */
  answeredAt: number;
}

/** Unsupported Media Type (RFC 9110 section 15.5.16). */
const UNSUPPORTED_TYPE = 415;
const TYPES = "Cannot read this content-type: send application/json or " +
  "application/proto (Connect), application/connect+json or +proto (streams), " +
  "application/grpc+proto, or application/grpc-web(-text)+proto\n";
const DETAILS = "grpc-status-details-bin";
const ACCEPT_ENCODING = "grpc-accept-encoding";
/** The encodings of `acceptCompression`. */
const ENCODINGS = "gzip,br";

const log = getLogger(["stellar-net", "rpc"]);

/** The parts that answer HTTP requests. */
export interface ConnectCallsOptions {
  /** Where calls are counted. */
  readonly calls: InFlightCalls;
  readonly limits: RpcLimits;
  /** Answers the paths of monitoring. Undefined: nobody does. */
  readonly monitor: Monitor | undefined;
}

/**
 * Answers HTTP requests with the handlers of a Connect router: every protocol
 * but the unary gRPC calls of {@linkcode GrpcCalls}. Nothing that a client sends
 * makes `handle` throw.
 */
export class ConnectCalls {
  readonly #handlers: ReadonlyMap<string, MethodHandler>;
  readonly #limits: RpcLimits;
  readonly #calls: InFlightCalls;
  readonly #monitor: Monitor | undefined;
  readonly #streamStop = new AbortController();
  /** The last answer on a unix socket, which its peer may not have read yet. */
  readonly #unread = new WeakMap<object, CallValues>();

  constructor(router: ConnectRouter, options: ConnectCallsOptions) {
    const { calls, limits, monitor } = options;
    this.#handlers = new Map(
      router.handlers.map((handler) => [handler.requestPath, handler]),
    );
    this.#limits = limits;
    this.#calls = calls;
    this.#monitor = monitor;
  }

  /** Answers a request. */
  readonly handle = (
    request: Request,
    response: Response,
    connection: Connection,
  ): void => {
    // Without listeners an error of a connection would end the process.
    request.on("error", ignore);
    response.on("error", ignore);
    const path = (request.url ?? "").split("?", 1)[0]!;
    const handler = this.#handlers.get(path);
    const refusal = refusePage(request.headers, connection.caller);
    if (refusal !== undefined) {
      refuse(request, response, refusal);
    } else if (handler) {
      this.#call(handler, { request, response, connection });
    } else if (this.#monitor?.has(path)) {
      const { caller } = connection;
      this.#monitor.handle(request, response, { caller, isPublic: false });
    } else {
      refuseUnknown(path, request, response);
    }
  };

  /** Answers a unary call of this process, with JSON, as if it came over the socket. */
  async ask(
    { path, timeoutMs, body, signal }: LocalCall,
  ): Promise<LocalAnswer> {
    const values = new CallValues(SOCKET_CONNECTION);
    const answer = await this.#handlers.get(path)!({
      httpVersion: "1.1",
      method: "POST",
      url: `http://localhost${path}`,
      header: new Headers({
        "content-type": "application/json",
        "connect-protocol-version": "1",
        "connect-timeout-ms": `${timeoutMs}`,
      }),
      body: once(body),
      signal,
      contextValues: values,
    });
    return {
      status: answer.status,
      body: await collect(answer.body),
      settle: (isDelivered) => values.settle(isDelivered),
    };
  }

  /** Ends all streams, present and future, with an error. */
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
    const isText = request.headers["content-type"]?.startsWith(WEB_TEXT);
    (isText ? answerWebText(handler, universal) : handler(universal))
      .then(async (answer) => {
        // A refused request is read to its end: some clients report an error
        // instead of the answer when HTTP/2 tells them to send no more.
        if (answer.status !== 200) request.resume();
        const sent = inPieces(describeTypes(await refuseMalformed(answer)));
        if (handler.method.methodKind === "unary") {
          call.answeredAt = performance.now();
        }
        await universalResponseToNodeResponse(sent, response);
      })
      .catch((error) => {
        // Most often the client has gone.
        log.debug("Cannot send an answer of {call}: {error}", {
          call: handler.requestPath,
          error,
        });
        response.destroy();
      });
    this.#watchDelivery(exchange, universal.contextValues as CallValues);
  }

  /**
   * Settles whether the answer reaches its caller. It counts as delivered when
   * the kernel has taken it. A unix socket also tells when its peer closes it
   * without reading the answer, so there an error within a second means that it
   * was lost. Over TCP an error tells nothing of the kind: proxies reset
   * connections whose answers they have read.
   */
  #watchDelivery(
    { request, response, connection }: Exchange,
    values: CallValues,
  ): void {
    const isLocal = connection.caller.kind === "socket" &&
      request.httpVersionMajor === 1;
    const { socket } = request;
    // The next request on a connection shows that the answer before was read.
    if (isLocal) this.#unread.get(socket)?.settle(true);
    response.once("close", () => {
      if (!response.writableFinished) values.settle(false);
      else if (!isLocal || !values.isAwaited) values.settle(true);
      else this.#awaitRead(socket, values);
    });
  }

  #awaitRead(socket: Request["socket"], values: CallValues): void {
    this.#unread.set(socket, values);
    const settle = (isDelivered: boolean) => {
      clearTimeout(timer);
      socket.off("error", onError);
      socket.off("close", onClose);
      values.settle(isDelivered);
    };
    const onError = () => settle(false);
    const onClose = () => settle(true);
    const timer = setTimeout(onClose, MAX_UNREAD_MS);
    socket.once("error", onError);
    socket.once("close", onClose);
  }

  #open(
    handler: MethodHandler,
    { request, response, connection }: Exchange,
  ): HttpCall {
    // The HTTP/1.1 server ends slow requests itself.
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
          response.destroy(new Error("the request does not end"));
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
    if (request.httpVersionMajor === 1) {
      universal.body = readAndDrain(request, response);
    }
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
    call: InFlightCall,
    body: UniversalRequest["body"],
  ): AsyncIterable<Uint8Array> {
    for await (const chunk of body as AsyncIterable<Uint8Array>) {
      this.#calls.receive(call, chunk.length);
      yield chunk;
    }
  }
}

/**
 * The body of a request over HTTP/1.1. What nobody has read of it when it is
 * answered is read then and dropped: the next request on the connection comes
 * behind it. A plain iterator would end the connection's input.
 */
function readAndDrain(
  request: Request,
  response: Response,
): AsyncIterable<Uint8Array> {
  response.once("finish", () => request.resume());
  return request.iterator({ destroyOnReturn: false });
}

async function collect(
  body: UniversalResponse["body"],
): Promise<Uint8Array> {
  if (!body || body instanceof Uint8Array) return body ?? new Uint8Array();
  const chunks = await Array.fromAsync(body as AsyncIterable<Uint8Array>);
  return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
}

/** Time in which an answer on a unix socket may turn out to be unread, in ms. */
const MAX_UNREAD_MS = 1_000;

/** Bytes that a connection gets at once: it keeps a buffer of that size for as long as it lasts. */
const PIECE_BYTES = 16 * 1024;

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

/** Says which types and encodings a client may send, where its own was refused. */
function describeTypes(answer: UniversalResponse): UniversalResponse {
  const { status, header, trailer } = answer;
  if (status === UNSUPPORTED_TYPE) {
    return {
      ...answer,
      header: new Headers({ "content-type": "text/plain; charset=utf-8" }),
      body: once(new TextEncoder().encode(TYPES)),
    };
  }
  const isGrpc = header?.get("content-type")?.startsWith("application/grpc");
  if (isGrpc && !header!.has(ACCEPT_ENCODING) && trailer) {
    const more = new Headers(header);
    more.set(ACCEPT_ENCODING, ENCODINGS);
    return { ...answer, header: more };
  }
  return answer;
}

/** A body that cannot be read. */
async function* failing(reason: unknown): AsyncGenerator<Uint8Array> {
  yield await Promise.reject(reason);
}

/** Whether a request lasts as long as its client likes. */
function isEndless({ method }: MethodHandler): boolean {
  return method.methodKind === "bidi_streaming" ||
    method.methodKind === "client_streaming";
}

/** Refuses a request whatever its protocol, and reads it to its end. */
function refuse(
  request: Request,
  response: Response,
  { status, message }: Refusal,
): void {
  request.resume();
  response.writeHead(status, { "content-type": "text/plain; charset=utf-8" });
  response.end(`${message}\n`);
}

/**
 * Answers an unknown call in the protocol of the request. A gRPC client sees
 * UNIMPLEMENTED only if the header ends the stream, without any data.
 */
function refuseUnknown(
  path: string,
  request: Request,
  response: Response,
): void {
  const message = `Cannot call ${quote(path)}: the agent has no such call`;
  const error = addDetails(new ConnectError(message, Code.Unimplemented));
  request.resume();
  const type = request.headers["content-type"];
  if (!type?.startsWith("application/grpc")) {
    response.writeHead(404, { "content-type": "application/json" });
    response.end(JSON.stringify(errorToJson(error, undefined)));
    return;
  }
  const header = { "content-type": type, ...formatGrpcStatus(error) };
  if (request.httpVersionMajor === 2 && "stream" in response) {
    const { stream } = response;
    stream.respond({ ":status": 200, ...header }, { endStream: true });
  } else {
    response.writeHead(200, header);
    response.end();
  }
}

function ignore(): void {}

/** The start of Connect's errors for bytes that are not a message of the call. */
const MALFORMED = /^(?:parse binary: |received compressed envelope)/;

/**
 * Replaces the INTERNAL that Connect answers to bytes that are not a message by
 * INVALID_ARGUMENT, in gRPC and in unary Connect calls: the fault is the
 * client's. Escapes what terminals act on in the JSON that a Connect error
 * quotes, and encodes a gRPC error's message no more than needed.
 */
export async function refuseMalformed(
  answer: UniversalResponse,
): Promise<UniversalResponse> {
  const { body, header, trailer, status } = answer;
  if (!body || body instanceof Uint8Array) return answer;
  if (trailer) return { ...answer, body: refuseInTrailer(body, trailer) };
  const isPlainError = status >= 400 && !header?.has("content-encoding") &&
    header?.get("content-type") === "application/json";
  return isPlainError ? await refuseInBody(answer, body) : answer;
}

async function refuseInBody(
  answer: UniversalResponse,
  body: AsyncIterable<Uint8Array>,
): Promise<UniversalResponse> {
  const given = JSON.parse(await readText(body));
  const message = escapeUnsafe(String(given.message ?? ""));
  const isMalformed = given.code === "internal" &&
    MALFORMED.test(message);
  const code = isMalformed ? "invalid_argument" : given.code;
  const details = given.details ?? detailsOf(message, code);
  const error = { ...given, code, message, ...details && { details } };
  const bytes = new TextEncoder().encode(JSON.stringify(error));
  const header = new Headers(answer.header);
  if (header.has("content-length")) {
    header.set("content-length", String(bytes.length));
  }
  const status = isMalformed ? 400 : answer.status;
  return { ...answer, status, header, body: once(bytes) };
}

/** The details of an error that the library itself has found, as JSON. */
function detailsOf(message: string, code: string): unknown {
  const known = codeFromString(code);
  if (known === undefined) return undefined;
  const error = addDetails(new ConnectError(message, known));
  return (errorToJson(error, undefined) as { details?: unknown }).details;
}

async function readText(body: AsyncIterable<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of body) {
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

async function* once(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes;
}

async function* refuseInTrailer(
  body: AsyncIterable<Uint8Array>,
  trailer: Headers,
): AsyncIterable<Uint8Array> {
  yield* body;
  const message = trailer.get("grpc-message") ?? "";
  if (
    trailer.get("grpc-status") === String(Code.Internal) &&
    MALFORMED.test(decodeURIComponent(message))
  ) trailer.set("grpc-status", String(Code.InvalidArgument));
  const status = Number(trailer.get("grpc-status") ?? 0);
  if (status === 0) return;
  const error = addDetails(
    new ConnectError(decodeURIComponent(message), status),
  );
  const fields = formatGrpcStatus(error);
  if (message !== "") trailer.set("grpc-message", fields["grpc-message"]!);
  if (!trailer.has(DETAILS)) trailer.set(DETAILS, fields[DETAILS]!);
}
