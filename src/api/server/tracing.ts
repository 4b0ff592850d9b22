import type { DescMethod } from "@bufbuild/protobuf";
import type { Interceptor } from "@connectrpc/connect";

type AnyFn = ReturnType<Interceptor>;

/** A call that is traced. */
export interface TracedCall {
  readonly method: DescMethod;
  /** A header field of the request by its name in lower case, null when it has none. */
  readonly header: (name: string) => string | null;
}

/** Makes spans. There is none where nobody has asked for them: it costs nothing then. */
export interface Tracing {
  /**
   * Answers a call in a span of its own: a child of the one that the caller
   * names in its header fields (W3C Trace Context). What is called meanwhile is
   * a child of it.
   */
  serve<T>(call: TracedCall, answer: () => Promise<T>): Promise<T>;
}

/** Traces unary calls that go through a router. A stream lasts: a span of it tells nothing. */
export function traceCalls(tracing: Tracing): Interceptor {
  return (next: AnyFn): AnyFn => (request) =>
    request.stream ? next(request) : tracing.serve({
      method: request.method,
      header: (name) => request.header.get(name),
    }, () => next(request));
}
