import { createServer } from "node:http";
import { waitFor } from "./wait_for.ts";

/** A span as it was received. */
export interface ReceivedSpan {
  /** The process that it is from: its OTEL_SERVICE_NAME. */
  readonly service: string;
  readonly traceId: string;
  readonly spanId: string;
  /** Empty: it is the first of its trace. */
  readonly parentSpanId: string;
  readonly name: string;
  /** 1 internal, 2 server, 3 client (OpenTelemetry's trace.proto). */
  readonly kind: number;
  readonly attributes: Readonly<Record<string, unknown>>;
}

interface Attribute {
  readonly key: string;
  readonly value: Readonly<Record<string, unknown>>;
}

interface TracesMessage {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly Attribute[] };
    readonly scopeSpans: readonly {
      readonly spans: readonly {
        readonly traceId: string;
        readonly spanId: string;
        readonly parentSpanId?: string;
        readonly name: string;
        readonly kind: number;
        readonly attributes?: readonly Attribute[];
      }[];
    }[];
  }[];
}

/** Receives spans by OTLP (JSON over HTTP) on loopback. */
export class OtlpReceiver implements AsyncDisposable {
  readonly spans: ReceivedSpan[] = [];
  /** How many requests there were, of traces, logs and metrics. */
  requests = 0;
  readonly #server = createServer((request, response) => {
    this.requests++;
    let body = "";
    request.setEncoding("utf8").on("data", (text: string) => body += text)
      .on("end", () => {
        if (request.url === "/v1/traces") this.#take(JSON.parse(body));
        response.writeHead(200, { "content-type": "application/json" });
        response.end("{}");
      });
  });
  #port = 0;

  /** Starts one. */
  static start(): Promise<OtlpReceiver> {
    const receiver = new OtlpReceiver();
    return new Promise((resolve) => {
      receiver.#server.listen(0, "127.0.0.1", () => {
        const { port } = receiver.#server.address() as { port: number };
        receiver.#port = port;
        resolve(receiver);
      });
    });
  }

  /** The environment in which a process sends its spans here. */
  environment(service: string): Record<string, string> {
    return {
      OTEL_DENO: "true",
      OTEL_SERVICE_NAME: service,
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${this.#port}`,
      OTEL_BSP_SCHEDULE_DELAY: "50",
    };
  }

  /** Waits for a span. */
  find(
    what: string,
    isIt: (span: ReceivedSpan) => boolean,
  ): Promise<ReceivedSpan> {
    return waitFor<ReceivedSpan | undefined>(
      what,
      () => this.spans.find(isIt),
    ) as Promise<ReceivedSpan>;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }

  #take(message: TracesMessage): void {
    for (const { resource, scopeSpans } of message.resourceSpans) {
      const service = String(read(resource.attributes)["service.name"]);
      for (const span of scopeSpans.flatMap(({ spans }) => spans)) {
        const { traceId, spanId, name, kind } = span;
        const parentSpanId = span.parentSpanId ?? "";
        const attributes = read(span.attributes ?? []);
        this.spans.push({
          ...{ service, traceId, spanId, parentSpanId, name, kind },
          attributes,
        });
      }
    }
  }
}

function read(attributes: readonly Attribute[]): Record<string, unknown> {
  return Object.fromEntries(
    attributes.map(({ key, value }) => [key, Object.values(value)[0]]),
  );
}
