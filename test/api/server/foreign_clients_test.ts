import { once } from "node:events";
import { Agent, request } from "node:http";
import { connect } from "node:http2";
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { setTimeout as delay } from "node:timers/promises";
import { gunzipSync } from "node:zlib";
import * as grpc from "@grpc/grpc-js";
import {
  Code,
  ConnectError,
  type ConnectRouter,
  createClient,
} from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import { IpamService } from "../../../src/gen/stellar/net/v1/ipam_pb.ts";
import { RegistryService } from "../../../src/gen/stellar/net/v1/registry_pb.ts";
import { Network } from "../../../src/gen/stellar/services/network/v1/network_pb.ts";
import {
  connectRaw,
  END_HEADERS,
  END_STREAM,
  frame,
  PREFACE,
} from "../../support/raw_client.ts";
import { withRpcServer } from "../../support/rpc_server.ts";
import { run } from "../../support/run.ts";
import {
  grpcHeaders,
  STUB_PATH,
  withStubServer,
} from "../../support/stub_network.ts";

const UNKNOWN = `${STUB_PATH}/Nope`;

Deno.test("every client gets UNIMPLEMENTED for an unknown call", async (t) => {
  await withStubServer({}, async ({ address, authority, url }) => {
    await t.step("HTTP/2: one HEADERS frame that ends the stream", async () => {
      const client = await connectRaw(address);
      client.send(PREFACE);
      client.send(frame("settings"));
      client.send(grpcHeaders("Nope", 1));
      client.send(
        frame("data", {
          stream: 1,
          flags: END_STREAM,
          payload: new Uint8Array(5),
        }),
      );
      await client.untilFrame({
        type: "headers",
        stream: 1,
        flags: END_HEADERS | END_STREAM,
      });
      client.socket.destroy();
    });
    await t.step("grpc-js", async () => {
      const client = new grpc.Client(
        authority,
        grpc.credentials.createInsecure(),
      );
      const code = await new Promise<number | undefined>((resolve) =>
        client.makeUnaryRequest(
          UNKNOWN,
          (bytes: Uint8Array) => Buffer.from(bytes),
          (bytes) => bytes,
          new Uint8Array(),
          (error) => resolve(error?.code),
        )
      );
      client.close();
      assert.equal(code, grpc.status.UNIMPLEMENTED);
    });
    await t.step("Python's grpcio", async () => {
      const program = `
import grpc, sys
with grpc.insecure_channel(sys.argv[1]) as channel:
    call = channel.unary_unary(sys.argv[2])
    try:
        call(b"", timeout=10)
    except grpc.RpcError as error:
        print(error.code().name)
`;
      const { stdout } = await run("/usr/bin/python3", [
        ...["-c", program, authority, UNKNOWN],
      ]);
      assert.equal(stdout.trim(), "UNIMPLEMENTED");
    });
    const transports = {
      "Connect over HTTP/1.1": createConnectTransport({
        httpVersion: "1.1",
        baseUrl: url,
      }),
      "Connect over HTTP/2": createConnectTransport({
        httpVersion: "2",
        baseUrl: url,
      }),
      gRPC: createGrpcTransport({ baseUrl: url }),
      "gRPC-Web over HTTP/1.1": createGrpcWebTransport({
        httpVersion: "1.1",
        baseUrl: url,
      }),
      "gRPC-Web over HTTP/2": createGrpcWebTransport({
        httpVersion: "2",
        baseUrl: url,
      }),
    };
    for (const [name, transport] of Object.entries(transports)) {
      await t.step(name, async () => {
        // A service that this server does not have.
        const client = createClient(IpamService, transport);
        const error = await client.checkReady({}).catch(ConnectError.from);
        assert.ok(error instanceof ConnectError);
        assert.equal(error.code, Code.Unimplemented);
        assert.match(error.rawMessage, /^Cannot call/);
      });
    }
  });
});

Deno.test("a server refuses an unknown field of JSON by its name, and allows one in binary", async () => {
  await withStubServer({}, async ({ url }) => {
    const call = async (
      type: string,
      body: string | Uint8Array<ArrayBuffer>,
    ) => {
      const response = await fetch(`${url}${STUB_PATH}/AllocateIP`, {
        method: "POST",
        headers: { "content-type": type },
        body,
      });
      return { status: response.status, text: await response.text() };
    };
    const refused = await call("application/json", '{"id":"a","nodes":"b"}');
    assert.equal(refused.status, 400);
    assert.match(refused.text, /"invalid_argument".*nodes/);
    const { status } = await call("application/json", '{"id":"a"}');
    assert.equal(status, 200);
    // Field 99 with the value 1.
    const binary = await call(
      "application/proto",
      Uint8Array.of(0x98, 0x06, 1),
    );
    assert.equal(binary.status, 200);
  });
});

Deno.test("a server says which types and encodings it takes", async (t) => {
  await withStubServer({}, async ({ url }) => {
    await t.step("415", async () => {
      const response = await fetch(`${url}${STUB_PATH}/Info`, {
        method: "POST",
        headers: { "content-type": "text/plain" },
        body: "{}",
      });
      assert.equal(response.status, 415);
      assert.match(await response.text(), /send application\/json/);
    });
    await t.step("an unknown grpc-encoding", async () => {
      const session = connect(url);
      const stream = session.request({
        ":method": "POST",
        ":path": `${STUB_PATH}/Info`,
        "content-type": "application/grpc",
        "te": "trailers",
        "grpc-encoding": "snappy",
      });
      stream.end("x");
      const headers: Record<string, unknown> = {};
      stream.on("response", (some) => Object.assign(headers, some));
      stream.on("trailers", (some) => Object.assign(headers, some));
      stream.resume();
      await once(stream, "close");
      session.close();
      assert.equal(headers["grpc-accept-encoding"], "gzip,br");
      assert.equal(headers["grpc-status"], "12");
    });
  });
});

Deno.test("a server compresses long gRPC answers for clients that take gzip", async (t) => {
  await withStubServer({}, async ({ url }) => {
    const ask = async (id: string, accept: string) => {
      const { stdout } = await run("sh", [
        "-c",
        `
        printf "$1" | base64 -d | curl --silent --http2-prior-knowledge \\
          -H 'content-type: application/grpc' -H 'te: trailers' \\
          -H "grpc-accept-encoding: $2" --data-binary @- "$3" | base64 -w0
      `,
        "sh",
        envelopeOf(id).toBase64(),
        accept,
        `${url}${STUB_PATH}/AllocateIP`,
      ]);
      return Uint8Array.fromBase64(stdout.trim());
    };
    const long = "x".repeat(10_000);
    await t.step("gzip", async () => {
      const answer = await ask(long, "identity,deflate,gzip");
      assert.equal(answer[0], 1);
      assert.ok(answer.length < 1000);
      const message = gunzipSync(answer.subarray(5)).toString("latin1");
      assert.ok(message.includes(long));
    });
    await t.step("a client that takes none", async () => {
      const answer = await ask(long, "identity");
      assert.equal(answer[0], 0);
      assert.ok(answer.length > 10_000);
    });
    await t.step("a short answer", async () => {
      assert.equal((await ask("x", "gzip"))[0], 0);
    });
  });
});

/** An AllocateIPRequest with an id, in its envelope. */
function envelopeOf(id: string): Uint8Array {
  const length: number[] = [];
  for (let left = id.length; left > 0; left >>>= 7) {
    length.push((left & 0x7f) | (left > 0x7f ? 0x80 : 0));
  }
  const message = Uint8Array.of(10, ...length, ...new TextEncoder().encode(id));
  const envelope = new Uint8Array(5 + message.length);
  new DataView(envelope.buffer).setUint32(1, message.length);
  envelope.set(message, 5);
  return envelope;
}

Deno.test("a stream ends with UNAVAILABLE when its server stops, although its handler ends well", async (t) => {
  const routes = (router: ConnectRouter) =>
    void router.service(Network, {}).service(RegistryService, {
      async *watch(_, { signal }) {
        yield { revision: 1n };
        while (!signal.aborted) await delay(5);
      },
    });
  const kinds = {
    gRPC: (baseUrl: string) => createGrpcTransport({ baseUrl }),
    Connect: (baseUrl: string) =>
      createConnectTransport({ httpVersion: "1.1", baseUrl }),
  };
  for (const [name, create] of Object.entries(kinds)) {
    await t.step(name, async () => {
      await withRpcServer({ routes }, async ({ server, url }) => {
        const client = createClient(RegistryService, create(url));
        let stopping: Promise<void> | undefined;
        await assert.rejects(async () => {
          for await (const { revision } of client.watch({})) {
            assert.equal(revision, 1n);
            stopping = server.close({ graceMs: 1000 });
          }
        }, { code: Code.Unavailable });
        await stopping;
      });
    });
  }
});

Deno.test("a call that only reads works with GET, and no other does", async () => {
  const routes = (router: ConnectRouter) =>
    void router.service(RegistryService, {
      listNetworks: () => ({ clusterId: "c" }),
      addRoute: () => ({}),
    });
  await withRpcServer({ routes }, async ({ url }) => {
    const get = async (call: string) => {
      const query = "connect=v1&encoding=json&message=%7B%7D";
      const path = `stellar.net.v1.RegistryService/${call}`;
      const response = await fetch(`${url}/${path}?${query}`);
      return { status: response.status, text: await response.text() };
    };
    const { status, text } = await get("ListNetworks");
    assert.equal(status, 200);
    assert.deepEqual(JSON.parse(text), { clusterId: "c" });
    assert.equal((await get("AddRoute")).status, 405);
  });
});

Deno.test("a connection over HTTP/1.1 goes on after a message that was too large", async (t) => {
  const large = new Uint8Array(1024 * 1024);
  new DataView(large.buffer).setUint32(1, large.length - 5);
  const connections = new Agent({ keepAlive: true, maxSockets: 1 });
  await withStubServer({ maxMessageBytes: 1000 }, async ({ url }) => {
    const call = async (name: string, type: string, body: Uint8Array) => {
      const sent = request(`${url}${STUB_PATH}/${name}`, {
        ...{ agent: connections, method: "POST" },
        headers: { "content-type": type },
      });
      sent.end(body);
      const [response] = await once(sent, "response");
      response.resume();
      await once(response, "end");
      return response.statusCode;
    };
    for (
      const [type, status] of [
        ["application/json", 429],
        ["application/grpc-web+proto", 200],
      ] as const
    ) {
      await t.step(type, async () => {
        assert.equal(await call("AllocateIP", type, large), status);
        const empty = new TextEncoder().encode("{}");
        assert.equal(await call("Info", "application/json", empty), 200);
      });
    }
  });
  connections.destroy();
});

Deno.test("gRPC-Web as text: bodies are base64, padded wherever their sender flushed them", async (t) => {
  await withStubServer({}, async ({ url }) => {
    const call = async (name: string, body: string) => {
      const type = "application/grpc-web-text+proto";
      const response = await fetch(`${url}${STUB_PATH}/${name}`, {
        ...{ method: "POST", headers: { "content-type": type }, body },
      });
      assert.equal(response.headers.get("content-type"), type);
      const parts = (await response.text()).matchAll(/[^=]+={0,2}/g);
      return [...parts].map(([part]) => atob(part)).join("");
    };
    const request = envelopeOf("abc");
    const halves = [request.slice(0, 4), request.slice(4)];
    for (
      const [what, body] of [
        ["in one piece", request.toBase64()],
        ["in two", halves.map((half) => half.toBase64()).join("")],
      ] as const
    ) {
      await t.step(what, async () => {
        const answer = await call("AllocateIP", body);
        assert.ok(answer.startsWith("\0\0\0\0\u0005\n\u0003abc"));
        assert.match(answer, /\u0080[^]{4}grpc-status: 0\r\n/);
      });
    }
    await t.step("an error", async () => {
      assert.match(await call("GetIP", request.toBase64()), /grpc-status: 5/);
    });
    for (const bad of ["AAAA!AAA", "AAAAAAA", "====", "AA=A"]) {
      await t.step(`"${bad}" is not base64`, async () => {
        const answer = await call("AllocateIP", bad);
        assert.match(answer, /grpc-status: 3\r\n/);
      });
    }
  });
});
