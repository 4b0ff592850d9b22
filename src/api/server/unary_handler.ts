import type { IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import {
  type ConnectRouter,
  createMethodImplSpec,
  createServiceImplSpec,
  type MethodImplSpec,
} from "@connectrpc/connect";
import type { Connection } from "../access/call_context.ts";
import {
  UnaryCall,
  type UnaryCallOptions,
  type UnaryMethod,
} from "./unary_call.ts";

/** What all calls of a handler share. */
export type UnaryHandlerOptions = Omit<
  UnaryCallOptions,
  "method" | "headers" | "connection"
>;

/**
 * Answers unary gRPC calls over HTTP/2 straight from the stream.
 *
 * They are nearly all calls that there are under load, and Connect's general
 * way (streams of envelopes over a compatible HTTP/1.1 request) costs five
 * times as much: see docs/performance.md. Whatever is out of the ordinary,
 * compression and JSON among it, is left to Connect.
 */
export class UnaryHandler {
  readonly #methods = new Map<string, UnaryMethod>();
  readonly #options: UnaryHandlerOptions;

  constructor(options: UnaryHandlerOptions) {
    this.#options = options;
  }

  /** A router that keeps what is registered with it, and passes it on to another. */
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
  accept(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    connection: Connection,
  ): boolean {
    const method = this.#methods.get(headers[":path"] ?? "");
    if (!method || !isPlainGrpc(headers)) return false;
    const options = { ...this.#options, method, headers, connection };
    new UnaryCall(stream, options).start();
    return true;
  }

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
