import assert from "node:assert/strict";
import * as grpc from "@grpc/grpc-js";
import type { HandlerContext } from "@connectrpc/connect";
import { Network } from "../../../src/gen/stellar/services/network/v1/network_pb.ts";
import { createGrpcJsClient } from "../../support/grpc_js.ts";
import { withRpcServer } from "../../support/rpc_server.ts";

/** What grpc-js saw of one call. */
interface Seen {
  readonly error: grpc.ServiceError | null;
  readonly header: grpc.Metadata | undefined;
  readonly trailer: grpc.Metadata | undefined;
}

/** Makes one call whose handler does what is given. */
async function callInfo(
  handle: (context: HandlerContext) => void,
): Promise<Seen> {
  return await withRpcServer({
    routes: (router) =>
      void router.service(Network, {
        info(_, context) {
          handle(context);
          return {};
        },
      }),
  }, async ({ authority }) => {
    const client = createGrpcJsClient(authority, {
      file: "stellar/services/network/v1/network.proto",
      service: Network.typeName,
    });
    const info = client.raw.Info as unknown as (
      request: unknown,
      done: (error: grpc.ServiceError | null) => void,
    ) => grpc.ClientUnaryCall;
    const done = Promise.withResolvers<grpc.ServiceError | null>();
    const ended = Promise.withResolvers<void>();
    let header: grpc.Metadata | undefined;
    let trailer: grpc.Metadata | undefined;
    info.call(client.raw, {}, done.resolve)
      .on("metadata", (metadata) => header = metadata)
      .on("status", (status) => {
        trailer = status.metadata;
        ended.resolve();
      });
    const error = await done.promise;
    await ended.promise;
    client.close();
    return { error, header, trailer };
  });
}

Deno.test("GrpcCalls sends the header and the trailer that its handler sets", async () => {
  const { error, header, trailer } = await callInfo((context) => {
    context.responseHeader.set("x-header", "a");
    context.responseTrailer.set("x-trailer", "b");
  });
  assert.equal(error, null);
  assert.deepEqual(header?.get("x-header"), ["a"]);
  assert.deepEqual(trailer?.get("x-trailer"), ["b"]);
});

Deno.test("GrpcCalls ends with INTERNAL when its handler sets a field that HTTP/2 forbids", async () => {
  const { error } = await callInfo(({ responseHeader }) => {
    responseHeader.set("connection", "close");
  });
  assert.equal(error?.code, grpc.status.INTERNAL);
});

Deno.test("GrpcCalls gives its handler the facts of the call", async () => {
  const facts: unknown[] = [];
  const values: HandlerContext["values"][] = [];
  await callInfo((context) => {
    const { method, service, requestMethod, protocolName, url } = context;
    facts.push(method.name, service.typeName, requestMethod, protocolName);
    facts.push(new URL(url).pathname, context.signal.aborted);
    facts.push(context.requestHeader.get("content-type"));
    values.push(context.values, context.values);
  });
  assert.deepEqual(facts, [
    "Info",
    Network.typeName,
    "POST",
    "grpc",
    `/${Network.typeName}/Info`,
    false,
    "application/grpc",
  ]);
  assert.equal(values[0], values[1]);
});
