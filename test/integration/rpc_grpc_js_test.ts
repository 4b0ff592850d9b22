import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import * as grpc from "@grpc/grpc-js";
import { createGrpcJsClient, type GrpcJsClient } from "../support/grpc_js.ts";
import { type RunningServer, withRpcServer } from "../support/rpc_server.ts";
import {
  createStubNetwork,
  type StubNetwork,
} from "../support/stub_network.ts";

const NETWORK = {
  file: "stellar/services/network/v1/network.proto",
  service: "stellar.services.network.v1.Network",
};
const HEALTH = {
  file: "grpc/health/v1/health.proto",
  service: "grpc.health.v1.Health",
};

interface Harness extends RunningServer {
  readonly stub: StubNetwork;
  readonly client: GrpcJsClient;
}

/** Calls a function with a server and a grpc-js client over TCP or its socket. */
function withClient(
  over: "tcp" | "unix",
  use: (harness: Harness) => Promise<void>,
): Promise<void> {
  const stub = createStubNetwork();
  return withRpcServer({ routes: stub.routes }, async (running) => {
    const target = over === "tcp"
      ? running.authority
      : `unix:${running.socketPath}`;
    const client = createGrpcJsClient(target, NETWORK);
    try {
      await use({ ...running, stub, client });
    } finally {
      stub.release();
      client.close();
    }
  });
}

for (const over of ["tcp", "unix"] as const) {
  Deno.test(`grpc-js over ${over}: calls get answers and errors`, () =>
    withClient(over, async ({ client }) => {
      assert.deepEqual(await client.call("Info", {}), {
        id: "stellar.services.network.v1",
      });
      assert.deepEqual(
        await client.call("AllocateIP", { id: "a", node: "b" }),
        {
          ip: "a",
          node: "b",
        },
      );
      const rows: readonly [
        call: string,
        code: grpc.status,
        details: RegExp,
      ][] = [
        [
          "GetIP",
          grpc.status.NOT_FOUND,
          /^Cannot find "x": é, 100 %, it is not there$/,
        ],
        [
          "Subnets",
          grpc.status.INTERNAL,
          /^internal error; the agent's log has the cause$/,
        ],
        ["Routes", grpc.status.UNIMPLEMENTED, /Routes is not implemented/],
      ];
      for (const [call, code, details] of rows) {
        await assert.rejects(
          client.call(call, { id: "x" }),
          { code, details },
          call,
        );
      }
    }));
}

Deno.test("grpc-js: 64 at once on one connection, each gets its own answer", () =>
  withClient("tcp", async ({ client }) => {
    const ids = Array.from({ length: 2000 }, (_, i) => `id${i}`);
    const queue = [...ids];
    const answers: string[] = [];
    await Promise.all(Array.from({ length: 64 }, async () => {
      for (let id = queue.pop(); id !== undefined; id = queue.pop()) {
        const { ip } = await client.call<{ ip: string }>("AllocateIP", { id });
        assert.equal(ip, id);
        answers.push(ip);
      }
    }));
    assert.deepEqual(answers.sort(), ids.sort());
  }));

Deno.test("grpc-js: messages up to the limit pass, larger ones are RESOURCE_EXHAUSTED", () =>
  withClient("tcp", async ({ client }) => {
    const id = "x".repeat(3 * 1024 * 1024);
    const { ip } = await client.call<{ ip: string }>("AllocateIP", { id });
    assert.equal(ip.length, id.length);
    await assert.rejects(
      client.call("AllocateIP", { id: "x".repeat(5 * 1024 * 1024) }),
      { code: grpc.status.RESOURCE_EXHAUSTED, details: /4194304/ },
    );
    assert.equal(
      (await client.call<{ ip: string }>("AllocateIP", { id: "y" })).ip,
      "y",
    );
  }));

Deno.test("grpc-js: a deadline reaches the handler, and its client gets DEADLINE_EXCEEDED", () =>
  withClient("tcp", async ({ client, stub }) => {
    const slow = stub.slowCall();
    const call = client.call("GetSubnet", {}, { deadline: Date.now() + 300 });
    const rejected = assert.rejects(call, {
      code: grpc.status.DEADLINE_EXCEEDED,
    });
    const { signal, timeoutMs } = await slow;
    assert.ok(timeoutMs()! <= 300);
    await aborted(signal);
    await rejected;
  }));

Deno.test("grpc-js: a call that its client cancels aborts the handler's signal", () =>
  withClient("tcp", async ({ client, stub }) => {
    const slow = stub.slowCall();
    const getSubnet = client.raw.GetSubnet as unknown as (
      request: unknown,
      done: (error: grpc.ServiceError) => void,
    ) => grpc.ClientUnaryCall;
    const failed = Promise.withResolvers<grpc.ServiceError>();
    const call = getSubnet.call(client.raw, {}, failed.resolve);
    const { signal } = await slow;
    call.cancel();
    await aborted(signal);
    assert.equal((await failed.promise).code, grpc.status.CANCELLED);
  }));

Deno.test("grpc-js: metadata reaches the handler", () =>
  withClient("tcp", async ({ client, stub }) => {
    const slow = stub.slowCall();
    const getSubnet = client.raw.GetSubnet as unknown as (
      request: unknown,
      metadata: grpc.Metadata,
      done: (error: unknown, answer: { subnetCidr: string }) => void,
    ) => void;
    const metadata = new grpc.Metadata();
    metadata.set("x-test", "a value");
    const answer = Promise.withResolvers<{ subnetCidr: string }>();
    getSubnet.call(
      client.raw,
      { node: "n" },
      metadata,
      (_, value) => answer.resolve(value),
    );
    const context = await slow;
    assert.equal(context.requestHeader.get("x-test"), "a value");
    assert.equal(context.protocolName, "grpc");
    assert.equal(context.method.name, "GetSubnet");
    assert.equal(context.timeoutMs(), undefined);
    stub.release();
    assert.deepEqual(await answer.promise, { subnetCidr: "n" });
  }));

Deno.test("grpc-js: compressed calls are understood", () =>
  withRpcServer(
    { routes: createStubNetwork().routes },
    async ({ authority }) => {
      const client = createGrpcJsClient(authority, {
        ...NETWORK,
        channelOptions: { "grpc.default_compression_algorithm": 2 },
      });
      const id = "z".repeat(5000);
      assert.equal(
        (await client.call<{ ip: string }>("AllocateIP", { id })).ip,
        id,
      );
      client.close();
    },
  ));

Deno.test("close() lets unary calls finish, ends streams, and refuses later calls", () =>
  withClient("tcp", async ({ client, stub, server, address, authority }) => {
    const health = createGrpcJsClient(authority, HEALTH);
    const watch = (health.raw.Watch as unknown as (
      request: unknown,
    ) => grpc.ClientReadableStream<{ status: string }>).call(health.raw, {
      service: "",
    });
    const states: string[] = [];
    const ended = Promise.withResolvers<grpc.ServiceError>();
    watch.on("data", ({ status }) => states.push(status))
      .on("error", ended.resolve);
    await once(watch, "data");
    const slow = stub.slowCall();
    const call = client.call("GetSubnet", { node: "n" });
    await slow;
    const closed = server.close();
    const { code, details } = await ended.promise;
    assert.equal(code, grpc.status.UNAVAILABLE);
    assert.equal(details, "the agent is stopping");
    assert.deepEqual(states, ["SERVING", "NOT_SERVING"]);
    await assert.rejects(
      once(connect(address.port, address.hostname), "connect"),
      { code: "ECONNREFUSED" },
    );
    stub.release();
    assert.deepEqual(await call, { subnetCidr: "n" });
    await closed;
    health.close();
  }));

Deno.test("close() cuts off calls that are not done within the grace period", () =>
  withClient("unix", async ({ client, stub, server }) => {
    const slow = stub.slowCall();
    const call = assert.rejects(client.call("GetSubnet", {}), {
      code: grpc.status.UNAVAILABLE,
    });
    const { signal } = await slow;
    await server.close({ graceMs: 50 });
    await call;
    await aborted(signal);
  }));

async function aborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, "abort");
}
