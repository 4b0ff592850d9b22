import {
  create,
  type DescMessage,
  type DescMethod,
  type DescService,
  fromBinary,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type ConnectRouter,
  createMethodImplSpec,
  createServiceImplSpec,
  type HandlerContext,
  type MethodImplSpec,
} from "@connectrpc/connect";
import {
  parseTimeout,
  setTrailerStatus,
} from "@connectrpc/connect/protocol-grpc";
import { getLogger } from "@logtape/logtape";
import {
  constants,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from "node:http2";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { CallValues, type Connection } from "../access/call_context.ts";
import type { ClientShare } from "../limits/clients.ts";
import type { InFlightCall, InFlightCalls } from "../limits/in_flight.ts";
import type { RpcLimits } from "../limits/limits.ts";
import { Answer, type CallObservers, refusePage } from "./call.ts";

/** A unary method and what implements it. */
type UnaryMethod = Extract<MethodImplSpec, { readonly kind: "unary" }>;

/** The parts that all calls of a server share. */
export interface GrpcCallsOptions extends CallObservers {
  readonly limits: RpcLimits;
  /** Where calls are counted. */
  readonly calls: InFlightCalls;
}

const log = getLogger(["stellar-net", "rpc"]);

const GZIP = "gzip";
/** The flag of an envelope whose message is compressed. */
const COMPRESSED = 1;
/** Shorter messages take longer to compress than to send. */
const MIN_COMPRESSED_BYTES = 4096;
const gzipAsync = promisify(gzip);

const OK: Readonly<Record<string, string>> = { "grpc-status": "0" };
/** Made once: without a reason, each signal would make an error with a stack. */
const ANSWERED = new ConnectError("the call is answered", Code.Canceled);

/**
 * Answers unary gRPC calls over HTTP/2 straight from the stream.
 *
 * They are nearly all calls that there are under load, and Connect's general
 * way (streams of envelopes over a compatible HTTP/1.1 request) costs five
 * times as much: see docs/performance.md. Connect answers the others, such as
 * those that are compressed or in JSON.
 */
export class GrpcCalls {
  readonly #methods = new Map<string, UnaryMethod>();
  readonly #options: GrpcCallsOptions;

  constructor(options: GrpcCallsOptions) {
    this.#options = options;
  }

  /** A router that records the unary methods that are registered with it, and passes them on to another. */
  record(router: ConnectRouter): ConnectRouter {
    const recorder: ConnectRouter = {
      handlers: router.handlers,
      service: (service, implementation, options) => {
        router.service(service, implementation, options);
        const { methods } = createServiceImplSpec(service, implementation);
        if (!options) Object.values(methods).forEach((spec) => this.#add(spec));
        return recorder;
      },
      rpc: (method, implementation, options) => {
        router.rpc(method, implementation, options);
        if (!options) this.#add(createMethodImplSpec(method, implementation));
        return recorder;
      },
    };
    return recorder;
  }

  /** Answers a stream, if it is a call of this kind. Returns whether it is. */
  readonly accept = (
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    connection: Connection,
  ): boolean => {
    const spec = this.#methods.get(headers[":path"] ?? "");
    if (!spec || !isPlainGrpc(headers)) return false;
    // Connect refuses it.
    if (refusePage(headers, connection.caller)) return false;
    const request = { stream, headers, connection };
    new GrpcCall(spec, request, this.#options).start();
    return true;
  };

  #add(spec: MethodImplSpec): void {
    if (spec.kind !== "unary") return;
    const { method } = spec;
    this.#methods.set(`/${method.parent.typeName}/${method.name}`, spec);
  }
}

function isPlainGrpc(headers: IncomingHttpHeaders): boolean {
  const type = headers["content-type"];
  const encoding = headers["grpc-encoding"];
  return headers[":method"] === "POST" &&
    (type === "application/grpc" || type === "application/grpc+proto") &&
    (encoding === undefined || encoding === "identity");
}

/** A stream whose header has come, and its connection. */
interface GrpcRequest {
  readonly stream: ServerHttp2Stream;
  readonly headers: IncomingHttpHeaders;
  readonly connection: Connection;
}

/**
 * One unary gRPC call on an HTTP/2 stream, and the context of its handler. It
 * makes what handlers seldom use only when they do.
 */
class GrpcCall implements HandlerContext, InFlightCall {
  readonly protocolName = "grpc";
  readonly requestMethod = "POST";
  readonly #spec: UnaryMethod;
  readonly #request: GrpcRequest;
  readonly #options: GrpcCallsOptions;
  readonly #answer: Answer<Uint8Array>;
  readonly #startedAt = performance.now();
  readonly #chunks: Uint8Array[] = [];
  #bytes = 0;
  #isReceived = false;
  #answeredAt = Infinity;
  #deadline: number | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #abort: AbortController | undefined;
  #abortReason: ConnectError | undefined;
  #requestHeader: Headers | undefined;
  #responseHeader: Headers | undefined;
  #responseTrailer: Headers | undefined;
  #values: CallValues | undefined;

  constructor(
    spec: UnaryMethod,
    request: GrpcRequest,
    options: GrpcCallsOptions,
  ) {
    this.#spec = spec;
    this.#request = request;
    this.#options = options;
    this.#answer = new Answer(spec.method, options);
  }

  /** Starts to read the request. */
  start(): void {
    const { stream } = this.#request;
    this.#answer.promise.then(
      (envelope) => this.#send(envelope),
      (error) => this.#refuse(error),
    );
    try {
      this.#options.calls.add(this);
    } catch (error) {
      this.#answer.fail(error);
      return;
    }
    stream.on("data", (chunk: Uint8Array) => this.#onData(chunk));
    stream.on("end", () => this.#onEnd());
    stream.on("close", () => this.#onClose());
    const { timeoutMs, error } = parseTimeout(
      this.#header("grpc-timeout"),
      Infinity,
    );
    if (error) this.#answer.fail(error);
    else if (timeoutMs !== undefined) this.#startTimer(timeoutMs);
  }

  check(now: number): void {
    const { maxDeadlineMs, requestTimeoutMs } = this.#options.limits;
    const age = now - this.#startedAt;
    if (now - this.#answeredAt > requestTimeoutMs) {
      // The client does not read its answer.
      this.#request.stream.destroy();
    } else if (age > maxDeadlineMs) this.#expire();
    else if (!this.#isReceived && age > requestTimeoutMs) this.#expire();
  }

  get share(): ClientShare | undefined {
    return this.#request.connection.share;
  }

  get method(): DescMethod {
    return this.#spec.method;
  }

  get service(): DescService {
    return this.method.parent;
  }

  get url(): string {
    const { headers } = this.#request;
    return `http://${headers[":authority"] ?? ""}${headers[":path"] ?? ""}`;
  }

  get signal(): AbortSignal {
    if (!this.#abort) {
      this.#abort = new AbortController();
      if (this.#abortReason) this.#abort.abort(this.#abortReason);
    }
    return this.#abort.signal;
  }

  get requestHeader(): Headers {
    return this.#requestHeader ??= toHeaders(this.#request.headers);
  }

  get responseHeader(): Headers {
    return this.#responseHeader ??= new Headers();
  }

  get responseTrailer(): Headers {
    return this.#responseTrailer ??= new Headers();
  }

  get values(): CallValues {
    return this.#values ??= new CallValues(this.#request.connection);
  }

  readonly timeoutMs = (): number | undefined =>
    this.#deadline === undefined
      ? undefined
      : this.#deadline - performance.now();

  #header(name: string): string | null {
    const value = this.#request.headers[name];
    return typeof value === "string" ? value : null;
  }

  #startTimer(timeoutMs: number): void {
    const ms = Math.min(timeoutMs, this.#options.limits.maxDeadlineMs);
    this.#deadline = this.#startedAt + ms;
    this.#timer = setTimeout(() => this.#expire(), ms);
  }

  #onData(chunk: Uint8Array): void {
    if (this.#answer.isSettled) return;
    this.#bytes += chunk.length;
    try {
      this.#checkSize();
      this.#options.calls.receive(this, chunk.length);
      this.#chunks.push(chunk);
    } catch (error) {
      this.#chunks.length = 0;
      this.#answer.fail(error);
    }
  }

  #checkSize(): void {
    const { maxMessageBytes } = this.#options.limits;
    if (this.#bytes <= maxMessageBytes + ENVELOPE_HEADER_BYTES) return;
    throw new ConnectError(
      `the message has more than ${maxMessageBytes} bytes`,
      Code.ResourceExhausted,
    );
  }

  #onEnd(): void {
    this.#isReceived = true;
    if (this.#answer.isSettled) return;
    this.#answer.run((name) => this.#header(name), () => this.#handle());
  }

  async #handle(): Promise<Uint8Array> {
    const { method, impl } = this.#spec;
    const request = splitEnvelope(method.input, this.#chunks);
    const response = await impl(request, this);
    const envelope = joinEnvelope(
      method.output,
      create(method.output, response),
    );
    return envelope.length >= MIN_COMPRESSED_BYTES && this.#accepts(GZIP)
      ? await this.#compress(envelope)
      : envelope;
  }

  #accepts(encoding: string): boolean {
    const accepted = this.#header("grpc-accept-encoding") ?? "";
    return accepted.split(",").some((name) => name.trim() === encoding);
  }

  async #compress(envelope: Uint8Array): Promise<Uint8Array> {
    const message = await gzipAsync(envelope.subarray(ENVELOPE_HEADER_BYTES));
    this.responseHeader.set("grpc-encoding", GZIP);
    return wrap(message, COMPRESSED);
  }

  #send(envelope: Uint8Array): void {
    this.#respond((stream) => {
      stream.respond(this.#responseHeaders(), { waitForTrailers: true });
      stream.on("wantTrailers", () => {
        stream.sendTrailers({ ...OK, ...entries(this.#responseTrailer) });
      });
      stream.end(envelope);
    });
  }

  #refuse(error: ConnectError): void {
    // What the handler answers after this goes nowhere.
    this.#settle(false);
    this.#abortReason ??= error;
    this.#respond((stream) => {
      stream.respond({
        ...this.#responseHeaders(),
        ...entries(this.#responseTrailer),
        ...formatGrpcStatus(error),
      }, { endStream: true });
      // The rest of the request is of no use.
      if (!this.#isReceived) stream.close(constants.NGHTTP2_NO_ERROR);
    });
  }

  /** Ends the call and sends its answer, unless the caller has gone. */
  #respond(write: (stream: ServerHttp2Stream) => void): void {
    const { stream } = this.#request;
    this.#answeredAt = performance.now();
    clearTimeout(this.#timer);
    this.#abort?.abort(this.#abortReason ?? ANSWERED);
    if (stream.destroyed || stream.closed) return;
    try {
      write(stream);
    } catch (error) {
      // A handler set a header field that HTTP/2 forbids, for one.
      log.error("Cannot send an answer of {call}: {error}", {
        call: this.method.name,
        error,
      });
      stream.close(constants.NGHTTP2_INTERNAL_ERROR);
    }
  }

  #settle(isDelivered: boolean): void {
    // A handler that is still running gets its values later.
    this.values.settle(isDelivered);
  }

  #expire(): void {
    this.#answer.fail(
      new ConnectError("the operation timed out", Code.DeadlineExceeded),
    );
  }

  #onClose(): void {
    this.#options.calls.delete(this);
    this.#answer.fail(new ConnectError("the caller has gone", Code.Canceled));
    const { stream } = this.#request;
    const { NGHTTP2_NO_ERROR } = constants;
    this.#settle(
      stream.writableFinished && stream.rstCode === NGHTTP2_NO_ERROR,
    );
  }

  #responseHeaders(): Record<string, string | number> {
    return {
      ":status": 200,
      "content-type": "application/grpc+proto",
      ...entries(this.#responseHeader),
    };
  }
}

/** Header fields as node:http2 sends them. */
export function entries(headers: Headers | undefined): Record<string, string> {
  return headers ? Object.fromEntries(headers) : {};
}

/** A request's header fields, without HTTP/2's own. */
function toHeaders(headers: IncomingHttpHeaders): Headers {
  const result = new Headers();
  for (const [name, value] of Object.entries(headers)) {
    if (name.startsWith(":")) continue;
    for (const item of Array.isArray(value) ? value : [value]) {
      if (item !== undefined) result.append(name, item);
    }
  }
  return result;
}

/** The status fields of a failed gRPC call, by their names. */
export function formatGrpcStatus(error: ConnectError): Record<string, string> {
  return {
    ...Object.fromEntries(setTrailerStatus(new Headers(), error)),
    "grpc-message": encodeGrpcMessage(error.rawMessage),
  };
}

/**
 * Percent-encodes a message for the grpc-message field: percent signs and what
 * is not printable ASCII, and no more, because grpc-js decodes no more (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md).
 */
export function encodeGrpcMessage(message: string): string {
  return message.toWellFormed().replace(
    /[^\x20-\x24\x26-\x7e]+/g,
    encodeURIComponent,
  );
}

/** One byte of flags and four of length precede a message. */
const ENVELOPE_HEADER_BYTES = 5;

/**
 * Reads the one message of a unary request, which is not compressed
 * (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md).
 *
 * @throws {ConnectError} INVALID_ARGUMENT
 */
export function splitEnvelope<T extends DescMessage>(
  schema: T,
  chunks: readonly Uint8Array[],
): MessageShape<T> {
  const bytes = chunks.length === 1 ? chunks[0]! : concat(chunks);
  if (bytes.length === 0) {
    throw protocolError("missing input message for unary method");
  }
  if (bytes.length < ENVELOPE_HEADER_BYTES) {
    throw protocolError("incomplete envelope");
  }
  const view = new DataView(
    bytes.buffer,
    bytes.byteOffset,
    ENVELOPE_HEADER_BYTES,
  );
  const length = view.getUint32(1);
  const received = bytes.length - ENVELOPE_HEADER_BYTES;
  if (view.getUint8(0) !== 0) {
    throw protocolError("received compressed envelope without an encoding");
  }
  if (received < length) {
    throw protocolError(`promised ${length} bytes, received ${received}`);
  }
  if (received > length) {
    throw protocolError("received extra input message for unary method");
  }
  try {
    return fromBinary(schema, bytes.subarray(ENVELOPE_HEADER_BYTES));
  } catch (error) {
    throw new ConnectError(
      `Cannot read ${schema.typeName}: ${(error as Error).message}`,
      Code.InvalidArgument,
    );
  }
}

/** Writes a message with its envelope. */
export function joinEnvelope<T extends DescMessage>(
  schema: T,
  message: MessageShape<T>,
): Uint8Array {
  return wrap(toBinary(schema, message), 0);
}

function wrap(message: Uint8Array, flags: number): Uint8Array {
  const envelope = new Uint8Array(ENVELOPE_HEADER_BYTES + message.length);
  envelope[0] = flags;
  new DataView(envelope.buffer).setUint32(1, message.length);
  envelope.set(message, ENVELOPE_HEADER_BYTES);
  return envelope;
}

function protocolError(what: string): ConnectError {
  return new ConnectError(`protocol error: ${what}`, Code.InvalidArgument);
}

function concat(chunks: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(
    chunks.reduce((sum, chunk) => sum + chunk.length, 0),
  );
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.length;
  }
  return bytes;
}
