import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:http2";
import v8 from "node:v8";
import vm from "node:vm";
import { Code, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { NetError } from "../../../src/base/error.ts";
import { Network } from "../../../src/gen/stellar/services/network/v1/network_pb.ts";
import { createRpcTransport } from "../../../src/api/client/client.ts";
import { deferEnd } from "../../../src/api/server/http2_sessions.ts";
import { createRpcServer } from "../../../src/api/server/server.ts";
import { ACK, connectRaw, frame, PREFACE } from "../../support/raw_client.ts";
import {
  createStubNetwork,
  http1Call,
  STUB_PATH,
  withStubServer,
} from "../../support/stub_network.ts";
import { withTempDir } from "../../support/temp_dir.ts";

/** An empty message in its envelope. */
const EMPTY = new Uint8Array(5);

/** Opens an HTTP/2 connection. */
async function openHttp2(url: string) {
  const session = connect(url);
  deferEnd(session);
  session.on("error", () => {});
  await once(session, "remoteSettings");
  return session;
}

/** Makes a gRPC call and resolves with its headers. */
async function callGrpc(
  session: ReturnType<typeof connect>,
  call: string,
): Promise<Record<string, unknown>> {
  const stream = session.request({
    ":method": "POST",
    ":path": `${STUB_PATH}/${call}`,
    "content-type": "application/grpc",
  });
  stream.resume().end(EMPTY);
  const [[headers]] = await Promise.all([
    once(stream, "response"),
    once(stream, "close"),
  ]);
  return headers;
}

Deno.test("listenTcp() returns the port that was taken", async () => {
  const server = createRpcServer({ routes() {} });
  const v4 = await server.listenTcp({ hostname: "127.0.0.1", port: 0 });
  const v6 = await server.listenTcp({ hostname: "::1", port: 0 });
  assert.equal(v4.hostname, "127.0.0.1");
  assert.equal(v6.hostname, "::1");
  assert.ok(v4.port > 0 && v6.port > 0);
  await server.close();
});

Deno.test("listenTcp() names the obstacle", async (t) => {
  const server = createRpcServer({ routes() {} });
  const { port } = await server.listenTcp({ hostname: "::1", port: 0 });
  const rows: readonly (readonly [
    name: string,
    hostname: string,
    port: number,
    code: NetError["code"],
    message: RegExp,
  ])[] = [
    [
      "a port in use",
      "::1",
      port,
      "failed_precondition",
      /^Cannot listen on "\[::1\]:\d+": another process listens there; stop it, or name another port with --listen$/,
    ],
    [
      "another host's address",
      "192.0.2.1",
      9000,
      // It may come: the agent waits for it.
      "unavailable",
      /^Cannot listen on "192\.0\.2\.1:9000": no interface of this host has that address; name another with --listen$/,
    ],
    [
      "another host's IPv6 address",
      "2001:db8::1",
      9000,
      "unavailable",
      /^Cannot listen on "\[2001:db8::1\]:9000": no interface/,
    ],
  ];
  for (const [name, hostname, port, code, message] of rows) {
    await t.step(name, () =>
      assert.rejects(
        server.listenTcp({ hostname, port }),
        (error: unknown) => {
          assert.ok(error instanceof NetError);
          assert.equal(error.code, code);
          assert.match(error.message, message);
          return true;
        },
      ));
  }
  await server.close();
});

Deno.test("listenUnix() makes a socket that close() removes", () =>
  withTempDir(async (dir) => {
    const path = `${dir}/run/agent.sock`;
    for (let i = 0; i < 2; i++) {
      const server = createRpcServer({ routes() {} });
      await server.listenUnix(path);
      assert.equal((await Deno.lstat(path)).mode! & 0o777, 0o600);
      await server.close();
      await assert.rejects(Deno.lstat(path), Deno.errors.NotFound);
    }
  }));

Deno.test("restoreSockets() makes a removed socket again, and leaves another agent's", () =>
  withTempDir(async (dir) => {
    const path = `${dir}/run/agent.sock`;
    const server = createRpcServer({ routes: createStubNetwork().routes });
    await server.listenUnix(path);
    assert.equal(await server.restoreSockets(), false);
    const call = async () => {
      const transport = createRpcTransport({ socketPath: path });
      return (await createClient(Network, transport).info({})).id;
    };
    for (const gone of [path, `${dir}/run`]) {
      await Deno.remove(gone, { recursive: true });
      assert.equal(await server.restoreSockets(), true);
      assert.equal((await Deno.lstat(path)).mode! & 0o777, 0o600);
      assert.equal(await call(), "stellar.services.network.v1");
    }
    await Deno.remove(path);
    const other = createRpcServer({ routes() {} });
    await other.listenUnix(path);
    assert.equal(await server.restoreSockets(), false);
    await other.close();
    await server.close();
    assert.equal(await server.restoreSockets(), false);
  }));

Deno.test("close() leaves the socket of an agent that has taken its place", () =>
  withTempDir(async (dir) => {
    const path = `${dir}/agent.sock`;
    const first = createRpcServer({ routes() {} });
    await first.listenUnix(path);
    await Deno.remove(path);
    const second = createRpcServer({ routes: createStubNetwork().routes });
    await second.listenUnix(path);
    await first.close();
    const client = createClient(
      Network,
      createRpcTransport({ socketPath: path }),
    );
    assert.equal((await client.info({})).id, "stellar.services.network.v1");
    await second.close();
  }));

Deno.test("close() is not held up by connections without a call, and may be repeated", () =>
  withStubServer({}, async ({ server, address, url }) => {
    const silent = await connectRaw(address);
    const http = await connectRaw(address);
    http.send(http1Call("Info"));
    await http.until(/"stellar/);
    const preface = await connectRaw(address);
    preface.send(PREFACE);
    preface.send(frame("settings"));
    await preface.untilFrame({ type: "settings", flags: ACK });
    const http2 = await openHttp2(url);
    const ends = [
      silent.closed,
      http.closed,
      preface.closed,
      once(http2, "close"),
    ];
    // If anything held it up, it would take this long.
    const grace = { graceMs: 3_600_000 };
    await Promise.all([server.close(grace), server.close(grace)]);
    await Promise.all(ends);
  }));

Deno.test("close() lets a call over HTTP/1.1 finish", () =>
  withStubServer({}, async ({ server, url, stub }) => {
    const transport = createConnectTransport({
      httpVersion: "1.1",
      baseUrl: url,
    });
    const client = createClient(Network, transport);
    const slow = stub.slowCall();
    const call = client.getSubnet({ node: "n" });
    const { signal } = await slow;
    const closed = server.close();
    stub.release();
    assert.equal((await call).subnetCidr, "n");
    await closed;
    assert.equal(signal.aborted, true);
  }));

Deno.test("streams on a connection are announced and limited", () =>
  withStubServer({ maxStreams: 2 }, async ({ url, stub }) => {
    const session = await openHttp2(url);
    assert.equal(session.remoteSettings.maxConcurrentStreams, 2);
    for (let i = 0; i < 2; i++) {
      const slow = stub.slowCall();
      void callGrpc(session, "GetSubnet");
      await slow;
    }
    const third = callGrpc(session, "Info");
    const other = await openHttp2(url);
    assert.equal((await callGrpc(other, "Info"))[":status"], 200);
    const settled = await Promise.race([
      third.then(() => "answered"),
      callGrpc(other, "Info").then(() => "waiting"),
    ]);
    assert.equal(settled, "waiting");
    stub.release();
    assert.equal((await third)[":status"], 200);
    session.destroy();
    other.destroy();
  }));

Deno.test("a call without a deadline gets the longest, over every protocol", async (t) => {
  const limits = { maxDeadlineMs: 200 };
  await withStubServer(limits, async ({ url, socketPath }) => {
    await t.step("Connect", async () => {
      const client = createClient(Network, createRpcTransport({ socketPath }));
      await assert.rejects(client.getSubnet({}), {
        code: "deadline_exceeded",
        message: "the operation timed out",
      });
      await assert.rejects(client.getSubnet({}, { timeoutMs: 100_000 }), {
        code: "deadline_exceeded",
      });
    });
    await t.step("gRPC", async () => {
      const session = await openHttp2(url);
      const headers = await callGrpc(session, "GetSubnet");
      assert.equal(headers["grpc-status"], String(Code.DeadlineExceeded));
      session.destroy();
    });
  });
});

Deno.test("a client of HTTP/1.1 that goes away aborts the handler's signal", () =>
  withStubServer({}, async ({ socketPath, stub }) => {
    const client = createClient(Network, createRpcTransport({ socketPath }));
    const gone = new AbortController();
    const slow = stub.slowCall();
    const call = assert.rejects(
      client.getSubnet({}, { signal: gone.signal }),
      { code: "cancelled" },
    );
    const { signal } = await slow;
    gone.abort();
    await call;
    if (!signal.aborted) await once(signal, "abort");
  }));

Deno.test("a client that hangs up after many calls does no harm", async (t) => {
  // Without deferEnd() this ends the whole process, more surely after a collection.
  v8.setFlagsFromString("--expose-gc");
  const gc: () => void = vm.runInNewContext("gc");
  await withStubServer({}, async ({ url }) => {
    const rows: readonly [name: string, codes: readonly number[]][] = [
      ["with one GOAWAY frame", [0]],
      ["with two", [0, 0]],
      ["with an error", [2]],
      ["with a frame and then an error", [0, 2]],
    ];
    for (const [name, codes] of rows) {
      await t.step(name, async () => {
        const session = await openHttp2(url);
        for (let i = 0; i < 10; i++) {
          await Promise.all(
            Array.from({ length: 40 }, () => callGrpc(session, "Info")),
          );
        }
        gc();
        const closed = once(session, "close");
        for (const code of codes) session.goaway(code);
        await closed;
        gc();
        const next = await openHttp2(url);
        assert.equal((await callGrpc(next, "Info"))[":status"], 200);
        next.destroy();
      });
    }
  });
});
