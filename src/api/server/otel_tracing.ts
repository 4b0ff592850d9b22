import {
  context,
  defaultTextMapGetter,
  propagation,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
} from "@opentelemetry/api";
import { Code, ConnectError } from "@connectrpc/connect";
import { NetError } from "../../base/error.ts";
import { RPC_CODES } from "../messages/errors.ts";
import type { Tracing } from "./call.ts";

/** The header fields that name a span (https://www.w3.org/TR/trace-context/). */
const FIELDS = ["traceparent", "tracestate"] as const;

/** Spans by OpenTelemetry, which Deno exports as the environment says
 * (`OTEL_DENO`, `OTEL_EXPORTER_OTLP_ENDPOINT`). Deno makes and propagates spans
 * of requests over `node:http` by itself. It makes none for HTTP/2, and does not
 * give a handler the span of its request.
 */
export function createTracing(): Tracing {
  const tracer = trace.getTracer("stellar-net");
  return {
    serve({ method, header }, answer) {
      const carrier: Record<string, string> = {};
      for (const field of FIELDS) {
        const value = header(field);
        if (value !== null) carrier[field] = value;
      }
      const caller = propagation.extract(
        context.active(),
        carrier,
        defaultTextMapGetter,
      );
      const service = method.parent.typeName;
      return tracer.startActiveSpan(
        `${service}/${method.name}`,
        {
          kind: SpanKind.SERVER,
          // OpenTelemetry's semantic conventions for RPC.
          attributes: {
            "rpc.system": "connect_rpc",
            "rpc.service": service,
            "rpc.method": method.name,
          },
        },
        caller,
        (span) => finish(span, answer),
      );
    },
  };
}

async function finish<T>(span: Span, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    span.setAttribute("error.type", Code[codeOf(error)]);
    span.setStatus({ code: SpanStatusCode.ERROR, message });
    throw error;
  } finally {
    span.end();
  }
}

function codeOf(error: unknown): Code {
  if (error instanceof ConnectError) return error.code;
  return error instanceof NetError ? RPC_CODES[error.code] : Code.Internal;
}
