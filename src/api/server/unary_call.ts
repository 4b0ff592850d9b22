import {
  constants,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from "node:http2";
import { create, type DescMethod, type DescService } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type ContextValues,
  type HandlerContext,
  type MethodImplSpec,
} from "@connectrpc/connect";
import { parseTimeout } from "@connectrpc/connect/protocol-grpc";
import { getLogger } from "@logtape/logtape";
import type { ClientShare } from "../limits/clients.ts";
import {
  CallValues,
  type Connection,
  undoUndelivered,
} from "../access/call_context.ts";
import {
  entries,
  formatGrpcStatus,
  joinEnvelope,
  splitEnvelope,
  toHeaders,
} from "./envelope.ts";
import { toConnectError } from "../messages/errors.ts";
import type { RpcLimits } from "../limits/limits.ts";
import type { CallMetrics } from "../../metrics/call_metrics.ts";
import type { OpenCall, OpenCalls } from "../limits/in_flight.ts";
import type { Tracing } from "./tracing.ts";

/** A unary method and what implements it. */
export type UnaryMethod = Extract<MethodImplSpec, { readonly kind: "unary" }>;

/** Options of a call. */
export interface UnaryCallOptions {
  readonly method: UnaryMethod;
  readonly headers: IncomingHttpHeaders;
  /** What it came on. */
  readonly connection: Connection;
  readonly limits: RpcLimits;
  /** Where the call is counted. */
  readonly calls: OpenCalls;
  readonly metrics: CallMetrics;
  /** Undefined: calls are not traced. */
  readonly tracing: Tracing | undefined;
}

const log = getLogger(["stellar-net", "rpc"]);

const OK: Readonly<Record<string, string>> = { "grpc-status": "0" };
const ENVELOPE_HEADER_BYTES = 5;
/** Made once: without a reason, each signal would make an error with a stack. */
const ANSWERED = new ConnectError("the call is answered", Code.Canceled);

/**
 * One unary gRPC call on an HTTP/2 stream, and the context that its handler
 * gets. What a handler seldom asks for is made when it does.
 */
export class UnaryCall implements HandlerContext, OpenCall {
  readonly protocolName = "grpc";
  readonly requestMethod = "POST";
  readonly #stream: ServerHttp2Stream;
  readonly #options: UnaryCallOptions;
  readonly #startedAt = performance.now();
  readonly #measuredFrom: number;
  readonly #chunks: Uint8Array[] = [];
  #bytes = 0;
  #received = false;
  #answered = false;
  #answeredAt = Infinity;
  #deadline: number | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #abort: AbortController | undefined;
  #abortReason: ConnectError | undefined;
  #requestHeader: Headers | undefined;
  #responseHeader: Headers | undefined;
  #responseTrailer: Headers | undefined;
  #values: ContextValues | undefined;

  constructor(stream: ServerHttp2Stream, options: UnaryCallOptions) {
    this.#stream = stream;
    this.#options = options;
    this.#measuredFrom = options.metrics.clock();
  }

  /** Starts to read the request; the rest follows from what comes. */
  start(): void {
    const stream = this.#stream;
    try {
      this.#options.calls.add(this);
    } catch (error) {
      this.#fail(error);
      return;
    }
    stream.on("data", (chunk: Uint8Array) => this.#onData(chunk));
    stream.on("end", () => void this.#onEnd());
    stream.on("close", () => this.#onClose());
    const { timeoutMs, error } = parseTimeout(
      this.#header("grpc-timeout"),
      Infinity,
    );
    if (error) this.#fail(error);
    else if (timeoutMs !== undefined) this.#startTimer(timeoutMs);
  }

  check(now: number): void {
    const { limits } = this.#options;
    const age = now - this.#startedAt;
    if (now - this.#answeredAt > limits.requestTimeoutMs) {
      // The client does not read its answer.
      this.#stream.destroy();
    } else if (age > limits.maxDeadlineMs) this.#expire();
    else if (!this.#received && age > limits.requestTimeoutMs) this.#expire();
  }

  get share(): ClientShare | undefined {
    return this.#options.connection.share;
  }

  get method(): DescMethod {
    return this.#options.method.method;
  }

  get service(): DescService {
    return this.method.parent;
  }

  get url(): string {
    const { headers } = this.#options;
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
    return this.#requestHeader ??= toHeaders(this.#options.headers);
  }

  get responseHeader(): Headers {
    return this.#responseHeader ??= new Headers();
  }

  get responseTrailer(): Headers {
    return this.#responseTrailer ??= new Headers();
  }

  get values(): ContextValues {
    return this.#values ??= new CallValues(this.#options.connection);
  }

  readonly timeoutMs = (): number | undefined =>
    this.#deadline === undefined
      ? undefined
      : this.#deadline - performance.now();

  #header(name: string): string | null {
    const value = this.#options.headers[name];
    return typeof value === "string" ? value : null;
  }

  #startTimer(timeoutMs: number): void {
    const ms = Math.min(timeoutMs, this.#options.limits.maxDeadlineMs);
    this.#deadline = this.#startedAt + ms;
    this.#timer = setTimeout(() => this.#expire(), ms);
  }

  #onData(chunk: Uint8Array): void {
    if (this.#answered) return;
    this.#bytes += chunk.length;
    try {
      this.#checkSize();
      this.#options.calls.receive(this, chunk.length);
      this.#chunks.push(chunk);
    } catch (error) {
      this.#chunks.length = 0;
      this.#fail(error);
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

  async #onEnd(): Promise<void> {
    this.#received = true;
    if (this.#answered) return;
    const { method, impl } = this.#options.method;
    const { tracing } = this.#options;
    try {
      const request = splitEnvelope(method.input, this.#chunks);
      const response = tracing
        ? await tracing.serve(
          { method, header: (name) => this.#header(name) },
          async () => await impl(request, this),
        )
        : await impl(request, this);
      if (this.#answered) return await undoUndelivered(this.#values);
      this.#answer(
        joinEnvelope(method.output, create(method.output, response)),
      );
    } catch (error) {
      this.#fail(error);
    }
  }

  #answer(envelope: Uint8Array): void {
    this.#measure(undefined);
    this.#send((stream) => {
      stream.respond(this.#responseHeaders(), { waitForTrailers: true });
      stream.on("wantTrailers", () => {
        stream.sendTrailers({ ...OK, ...entries(this.#responseTrailer) });
      });
      stream.end(envelope);
    });
  }

  #fail(reason: unknown): void {
    if (this.#answered) return;
    const { service, method } = this;
    const error = toConnectError(reason, `${service.typeName}/${method.name}`);
    this.#abortReason = error;
    this.#measure(error.code);
    this.#send((stream) => {
      stream.respond({
        ...this.#responseHeaders(),
        ...entries(this.#responseTrailer),
        ...formatGrpcStatus(error),
      }, { endStream: true });
      // What is still to come of the request is of no use.
      if (!this.#received) stream.close(constants.NGHTTP2_NO_ERROR);
    });
  }

  /** Ends the call and sends its answer, if there is still someone to send it to. */
  #send(write: (stream: ServerHttp2Stream) => void): void {
    const stream = this.#stream;
    this.#end();
    if (stream.destroyed || stream.closed) return;
    try {
      write(stream);
    } catch (error) {
      // Such as a header field of a handler that HTTP/2 does not allow.
      log.error("Cannot send an answer of {call}: {error}", {
        call: this.method.name,
        error,
      });
      stream.close(constants.NGHTTP2_INTERNAL_ERROR);
    }
  }

  #expire(): void {
    this.#fail(
      new ConnectError("the operation timed out", Code.DeadlineExceeded),
    );
  }

  #onClose(): void {
    this.#options.calls.delete(this);
    if (this.#answered) return;
    this.#abortReason = new ConnectError("the caller has gone", Code.Canceled);
    this.#measure(Code.Canceled);
    this.#end();
  }

  #measure(code: Code | undefined): void {
    const { metrics, method: { method } } = this.#options;
    metrics.ended(method, { code, startedAtMs: this.#measuredFrom });
  }

  #end(): void {
    this.#answered = true;
    this.#answeredAt = performance.now();
    clearTimeout(this.#timer);
    this.#abort?.abort(this.#abortReason ?? ANSWERED);
  }

  #responseHeaders(): Record<string, string | number> {
    return {
      ":status": 200,
      "content-type": "application/grpc+proto",
      ...entries(this.#responseHeader),
    };
  }
}
