import http2, { type ClientHttp2Session } from "node:http2";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import * as grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import type { ShownCertificate } from "./test_authority.ts";
import { deferEnd } from "../../src/api/server/http2_sessions.ts";

const PROTO_DIR = fileURLToPath(new URL("../../proto", import.meta.url));

// A client is hit as well by what deferEnd() is for.
const connect = http2.connect;
http2.connect = ((...args: Parameters<typeof connect>): ClientHttp2Session => {
  const session = connect(...args);
  deferEnd(session);
  return session;
}) as typeof connect;

/** A grpc-js client of one service. */
export interface GrpcJsClient {
  /** Makes a unary call. Rejects with a grpc.ServiceError. */
  call<T = Record<string, unknown>>(
    method: string,
    request: Record<string, unknown>,
    options?: grpc.CallOptions,
  ): Promise<T>;
  /** The client itself: its methods have the names of the calls. */
  readonly raw: grpc.Client & Record<string, (...args: never[]) => unknown>;
  close(): void;
}

/** Names a service, and how to call it. */
export interface GrpcJsOptions {
  /** A file below proto/. */
  readonly file: string;
  /** Full name of a service in it. */
  readonly service: string;
  readonly channelOptions?: grpc.ChannelOptions;
  /** Whether fields keep the names of the proto. Default false: camel case. */
  readonly keepCase?: boolean;
  /** What the server is checked with, and shown. Default: plain text. */
  readonly tls?: ShownCertificate | undefined;
  /** A name in the server's certificate. Default `localhost`. */
  readonly serverName?: string | undefined;
}

/** Makes a client of a service. */
export function createGrpcJsClient(
  target: string,
  options: GrpcJsOptions,
): GrpcJsClient {
  const { file, service, channelOptions = {}, keepCase = false } = options;
  const { tls, serverName = "localhost" } = options;
  const definition = loadSync(file, {
    includeDirs: [PROTO_DIR],
    keepCase,
    longs: String,
    enums: String,
    defaults: true,
    oneofs: true,
  });
  const Client = grpc.makeGenericClientConstructor(
    definition[service] as grpc.ServiceDefinition,
    service,
  );
  return wrap(
    new Client(target, createCredentials(tls), {
      // Clients of one address would share a connection.
      "grpc.use_local_subchannel_pool": 1,
      // By itself it names the server by its address, which Deno does not take.
      ...tls && { "grpc.ssl_target_name_override": serverName },
      ...channelOptions,
    }),
  );
}

function createCredentials(
  tls: ShownCertificate | undefined,
): grpc.ChannelCredentials {
  if (!tls) return grpc.credentials.createInsecure();
  const read = (path: string | undefined) =>
    path === undefined ? null : readFileSync(path);
  return grpc.credentials.createSsl(
    read(tls.caPath),
    read(tls.keyPath),
    read(tls.certPath),
  );
}

/** Makes a client from a service definition. */
export function wrap(client: grpc.Client): GrpcJsClient {
  const raw = client as GrpcJsClient["raw"];
  return {
    raw,
    call: (method, request, options = {}) =>
      new Promise((resolve, reject) => {
        const unary = raw[method] as (
          request: unknown,
          metadata: grpc.Metadata,
          options: grpc.CallOptions,
          done: (error: grpc.ServiceError | null, response: never) => void,
        ) => void;
        unary.call(
          raw,
          request,
          new grpc.Metadata(),
          options,
          (error, response) => {
            if (error) reject(error);
            else resolve(response);
          },
        );
      }),
    close: () => client.close(),
  };
}
