/**
 * Makes calls with grpc-js, one after the other, and prints what came of each
 * as a line of JSON. The argument is the `GrpcJsCalls` in JSON.
 */
import * as grpc from "@grpc/grpc-js";
import { createGrpcJsClient, type GrpcJsOptions } from "../support/grpc_js.ts";

/** Where to call, and what. */
export interface GrpcJsCalls {
  readonly target: string;
  readonly calls: readonly {
    readonly client: GrpcJsOptions;
    readonly method: string;
    readonly request: Readonly<Record<string, unknown>>;
    readonly isStream: boolean;
  }[];
}

const TIMEOUT_MS = 10_000;

if (import.meta.main) {
  const { target, calls }: GrpcJsCalls = JSON.parse(Deno.args[0]!);
  for (const { client: options, method, request, isStream } of calls) {
    const client = createGrpcJsClient(target, options);
    const deadline = Date.now() + TIMEOUT_MS;
    try {
      const answer = isStream
        ? await firstOf(client.raw, { method, request, deadline })
        : await client.call(method, request, { deadline });
      console.log(JSON.stringify({ answer }));
    } catch (error) {
      const { code, details } = error as grpc.ServiceError;
      const name = grpc.status[code]?.toLowerCase() ?? String(error);
      console.log(JSON.stringify({ code: name, message: details }));
    } finally {
      client.close();
    }
  }
  Deno.exit(0);
}

/** The first message of a stream. */
function firstOf(
  client: grpc.Client & Record<string, unknown>,
  { method, request, deadline }: {
    readonly method: string;
    readonly request: unknown;
    readonly deadline: number;
  },
): Promise<unknown> {
  const open = client[method] as (
    request: unknown,
    options: grpc.CallOptions,
  ) => grpc.ClientReadableStream<unknown>;
  const stream = open.call(client, request, { deadline });
  return new Promise((resolve, reject) => {
    stream.once("data", resolve).once("error", reject)
      .once("end", () => reject(new Error("it ended")));
  });
}
