import type { DescMethod } from "@bufbuild/protobuf";
import type { Code, ConnectError, Interceptor } from "@connectrpc/connect";
import type { CallMetrics } from "../../metrics/counters.ts";
import { type Caller, settleAsLost } from "../access/call_context.ts";
import { toConnectError } from "../messages/errors.ts";
import type { IncomingHttpHeaders } from "node:http";
import { isIP } from "node:net";
import { quote } from "../../net/address.ts";

/** Reads a header field of a request by its name in lower case; null when it has none. */
export type ReadHeader = (name: string) => string | null;

/** Makes spans. A server has none where nobody asked for them: tracing costs nothing then. */
export interface Tracing {
  /**
   * Answers a call in a span of its own: a child of the span that the caller
   * names in its header fields (W3C Trace Context). Calls that are made
   * meanwhile are children of it.
   */
  serve<T>(
    call: { readonly method: DescMethod; readonly header: ReadHeader },
    answer: () => Promise<T>,
  ): Promise<T>;
}

/** The metrics and traces of every call of a server. Undefined: none. */
export interface CallObservers {
  readonly metrics?: CallMetrics | undefined;
  readonly tracing?: Tracing | undefined;
}

/**
 * The answer to one unary call, whatever protocol carries it: it is settled
 * once, measured once, and its error is one that may be sent. A caller that
 * gives up gets its error at once, whether the handler heeds its signal or not.
 */
export class Answer<T> {
  readonly promise: Promise<T>;
  readonly #method: DescMethod;
  readonly #observers: CallObservers;
  readonly #startedAtMs: number;
  readonly #resolve: (value: T) => void;
  readonly #reject: (error: ConnectError) => void;
  #isSettled = false;

  constructor(method: DescMethod, observers: CallObservers) {
    this.#method = method;
    this.#observers = observers;
    this.#startedAtMs = observers.metrics?.clock() ?? 0;
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    this.promise = promise;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** Whether the answer is known; what comes later changes nothing. */
  get isSettled(): boolean {
    return this.#isSettled;
  }

  /** Settles the answer with what a handler returns or throws. */
  run(header: ReadHeader, handle: () => Promise<T>): void {
    const { tracing } = this.#observers;
    const method = this.#method;
    const work = tracing ? tracing.serve({ method, header }, handle) : handle();
    work.then((value) => {
      if (this.#settle(undefined)) this.#resolve(value);
    }, (error) => this.fail(error));
  }

  /** Settles the answer with an error: the handler's, or why nobody waits any more. */
  fail(reason: unknown): void {
    if (this.#isSettled) return;
    const error = toConnectError(reason, nameOf(this.#method));
    this.#settle(error.code);
    this.#reject(error);
  }

  #settle(code: Code | undefined): boolean {
    if (this.#isSettled) return false;
    this.#isSettled = true;
    this.#observers.metrics?.ended(this.#method, {
      code,
      startedAtMs: this.#startedAtMs,
    });
    return true;
  }
}

/**
 * Answers the calls that go through a router: unary ones as an
 * {@linkcode Answer}, streams measured when they end. A stream lasts as long
 * as its caller likes, so it gets no span.
 */
export function answerCalls(observers: CallObservers): Interceptor {
  return (next) => async (request) => {
    const { method, signal } = request;
    if (request.stream || method.methodKind !== "unary") {
      return await answerStream(next, request, observers);
    }
    const answer = new Answer<Awaited<ReturnType<typeof next>>>(
      method,
      observers,
    );
    const abort = () => {
      // What the handler answers after this goes nowhere.
      settleAsLost(request.contextValues);
      answer.fail(signal.reason);
    };
    signal.addEventListener("abort", abort);
    try {
      if (signal.aborted) abort();
      answer.run((name) => request.header.get(name), () => next(request));
      return await answer.promise;
    } finally {
      signal.removeEventListener("abort", abort);
    }
  };
}

type AnyFn = ReturnType<Interceptor>;

async function answerStream(
  next: AnyFn,
  request: Parameters<AnyFn>[0],
  observers: CallObservers,
): ReturnType<AnyFn> {
  const { method } = request;
  const { metrics } = observers;
  const startedAtMs = metrics?.clock() ?? 0;
  const end = (code: Code | undefined) =>
    metrics?.ended(method, { code, startedAtMs });
  const { signal } = request;
  const convert = (error: unknown) => {
    const converted = toConnectError(error, nameOf(method));
    end(converted.code);
    return converted;
  };
  try {
    const response = await next(request);
    if (!response.stream) {
      end(undefined);
      return response;
    }
    return {
      ...response,
      message: measure(response.message, { signal, end, convert }),
    };
  } catch (error) {
    throw convert(error);
  }
}

async function* measure<T>(
  messages: AsyncIterable<T>,
  { signal, end, convert }: {
    readonly signal: AbortSignal;
    readonly end: (code: Code | undefined) => void;
    readonly convert: (error: unknown) => ConnectError;
  },
): AsyncIterable<T> {
  let failure: ConnectError | undefined;
  try {
    yield* messages;
    // A stream that was ended from outside, by a stop of the server for one, is
    // not complete: its client has to see that.
    signal.throwIfAborted();
  } catch (error) {
    throw failure = convert(error);
  } finally {
    if (!failure) end(undefined);
  }
}

function nameOf(method: DescMethod): string {
  return `${method.parent.typeName}/${method.name}`;
}

/** A host with an optional port (RFC 9110 section 7.2): a name, IPv4, or IPv6 in brackets. */
const HOST = /^(?:\[([^\]]+)\]|([^:[\]@]+))(?::\d*)?$/;

/** An answer that is not the called service's. */
export interface Refusal {
  readonly status: number;
  readonly message: string;
}

/**
 * Why a request in plain text may come from a web page, and is refused;
 * undefined when it does not.
 *
 * A page in a browser reaches an agent on loopback by a name of its own that
 * resolves to 127.0.0.1 (DNS rebinding), and a page cannot avoid that the
 * browser sends that name, or an Origin. Over TLS a page has no certificate, and
 * it cannot connect to a unix socket.
 */
export function refusePage(
  headers: IncomingHttpHeaders,
  { kind }: Caller,
): Refusal | undefined {
  if (kind !== "loopback" && kind !== "plain") return undefined;
  if (headers.origin !== undefined) {
    return {
      status: 403,
      message: `Cannot answer a web page: the request is from ${
        quote(headers.origin)
      }, and plain text is for programs`,
    };
  }
  const host = headers[":authority"] ?? headers.host ?? "";
  const match = HOST.exec(String(host));
  if (!match) return { status: 400, message: "Cannot read the host" };
  const [, six, other = ""] = match;
  const isAllowed = six === undefined
    ? other.toLowerCase() === "localhost" || isIP(other) === 4
    : isIP(six) === 6;
  if (isAllowed) return undefined;
  return {
    status: 403,
    message: `Cannot answer a request to host ${
      quote(String(host))
    }: in plain text it has to be an IP address or localhost`,
  };
}

/** The longest time that a timer can run: 2^31 - 1 ms. */
const MAX_TIMER_MS = 0x7fffffff;

/** Milliseconds of the units of the grpc-timeout header. */
const UNITS_MS: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
};

/**
 * Shortens the deadline in a request's header to the longest allowed one, and
 * sets it where the client has set none. Without a maximum it shortens the
 * deadline only as far as timers need, and never sets it.
 *
 * An invalid header stays as it is: the protocol refuses it.
 * Formats: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md and
 * https://connectrpc.com/docs/protocol
 */
export function clampDeadline(header: Headers, maxMs?: number): void {
  const grpc = header.get("content-type")?.startsWith("application/grpc");
  const name = grpc ? "grpc-timeout" : "connect-timeout-ms";
  const value = header.get(name);
  const limitMs = Math.min(maxMs ?? MAX_TIMER_MS, MAX_TIMER_MS);
  if (value === null ? maxMs === undefined : !isLater(value, limitMs)) return;
  header.set(name, grpc ? formatGrpc(limitMs) : String(Math.ceil(limitMs)));
}

function isLater(value: string, limitMs: number): boolean {
  const match = /^(\d{1,10})([HMSmun]?)$/.exec(value);
  return match !== null &&
    Number(match[1]) * (UNITS_MS[match[2]!] ?? 1) > limitMs;
}

/** The header has at most eight digits. */
function formatGrpc(ms: number): string {
  return ms < 1e8 ? `${Math.ceil(ms)}m` : `${Math.floor(ms / 1000)}S`;
}
