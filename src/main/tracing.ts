import type { Tracing } from "../api/server/call.ts";

/** Where OpenTelemetry's API is registered. */
const OTEL_API = Symbol.for("opentelemetry.js.api.1");

/** Traces calls where Deno sends spans: elsewhere it costs nothing. */
export async function findTracing(): Promise<Tracing | undefined> {
  // With OTEL_DENO the runtime registers with OpenTelemetry's API. To look into
  // the environment would need a right.
  if (!Object.hasOwn(globalThis, OTEL_API)) return undefined;
  const { createTracing } = await import("../api/server/otel_tracing.ts");
  return createTracing();
}
