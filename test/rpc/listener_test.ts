import assert from "node:assert/strict";
import { matchPreface } from "../../src/rpc/listener.ts";
import {
  ACK,
  connectRaw,
  END_HEADERS,
  END_STREAM,
  type Frame,
  frame,
  hpack,
  PREFACE,
  type RawTarget,
} from "../support/raw_client.ts";
import { type RunningServer, withRpcServer } from "../support/rpc_server.ts";
import {
  createStubNetwork,
  type StubNetwork,
} from "../support/stub_network.ts";
import type { RpcLimits } from "../../src/rpc/limits.ts";

const SERVICE = "/stellar.services.network.v1.Network";
const SETTINGS = frame("settings");
/** A HEADERS frame that is all of an answer. */
const WHOLE_ANSWER = {
  type: "headers",
  flags: END_HEADERS | END_STREAM,
} as const;

function withStub(
  limits: Partial<RpcLimits>,
  use: (running: RunningServer & { stub: StubNetwork }) => Promise<void>,
): Promise<void> {
  const stub = createStubNetwork();
  return withRpcServer({ routes: stub.routes, limits }, async (running) => {
    try {
      await use({ ...running, stub });
    } finally {
      stub.release();
    }
  });
}

/** A request of HTTP/1.1 with a body of JSON. */
function http1(call: string, body = "{}", headers = ""): string {
  return `POST ${SERVICE}/${call} HTTP/1.1\r\nHost: a\r\n${headers}` +
    `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}

/** A HEADERS frame of a gRPC call. */
function grpcHeaders(call: string, stream: number): Uint8Array {
  return frame("headers", {
    stream,
    flags: END_HEADERS,
    payload: hpack({
      ":method": "POST",
      ":scheme": "http",
      ":authority": "a",
      ":path": `${SERVICE}/${call}`,
      "content-type": "application/grpc",
    }),
  });
}

/** Makes a call with a new client. */
async function assertServes(target: RawTarget): Promise<void> {
  const client = await connectRaw(target);
  client.send(http1("Info", "{}", "Connection: close\r\n"));
  assert.match(
    await client.closed,
    /^HTTP\/1\.1 200 OK\r\n[^]*stellar\.services/,
  );
}

Deno.test("matchPreface() tells HTTP/2 as soon as it can", () => {
  const rows: readonly [text: string, match: string][] = [
    ["", "partial"],
    ["P", "partial"],
    ["PO", "none"],
    ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r", "partial"],
    [PREFACE, "whole"],
    [`${PREFACE}more`, "whole"],
    ["PRI * HTTP/2.0\r\n\r\nXX", "none"],
    ["\x16\x03\x01", "none"],
  ];
  for (const [text, match] of rows) {
    assert.equal(matchPreface(new TextEncoder().encode(text)), match, text);
  }
});

for (const over of ["tcp", "unix"] as const) {
  Deno.test(`a listener over ${over} takes what comes byte by byte`, () =>
    withStub({}, async ({ address, socketPath }) => {
      const target = over === "tcp" ? address : socketPath;
      const http2 = await connectRaw(target);
      const request = http1("Info");
      const http = await connectRaw(target);
      for (let i = 0; i < request.length; i++) {
        http2.send(PREFACE.slice(i, i + 1));
        http.send(request.slice(i, i + 1));
        await new Promise((resolve) => setTimeout(resolve));
      }
      http2.send(SETTINGS);
      await http2.untilFrame({ type: "settings", flags: ACK });
      await http.until(/200 OK[^]*"stellar/);
      http.socket.destroy();
      http2.socket.destroy();
    }));
}

Deno.test("a listener serves HTTP/1.1 requests one after another on a connection", () =>
  withStub({}, async ({ address }) => {
    const client = await connectRaw(address);
    for (let i = 1; i <= 3; i++) {
      client.send(http1("Info"));
      await client.until(new RegExp(`(?:200 OK[^]*?"stellar[^]*?){${i}}`));
    }
    client.socket.end();
    await client.closed;
  }));

Deno.test("a listener cuts off who does not go on", async (t) => {
  const rows: readonly [
    name: string,
    sent: string | Uint8Array,
    got: RegExp,
  ][] = [
    ["nothing", "", /^$/],
    ["half a preface", "PRI * HTTP/2.0\r\n", /^$/],
    // The server says its settings at once.
    ["a preface and no more", PREFACE, /^[^]{21}/],
    [
      "half a header",
      "POST / HTTP/1.1\r\nHos",
      /^HTTP\/1\.1 408 Request Timeout\r\n/,
    ],
    ["half a body", http1("Info", "{}").slice(0, -1), /^HTTP\/1\.1 408 /],
    ["nothing after an answer", http1("Info"), /^HTTP\/1\.1 200 OK\r\n/],
  ];
  const limits = {
    headerTimeoutMs: 300,
    requestTimeoutMs: 300,
    keepAliveTimeoutMs: 300,
  };
  await withStub(limits, async ({ address }) => {
    for (const [name, sent, got] of rows) {
      await t.step(name, async () => {
        const client = await connectRaw(address);
        client.send(sent);
        assert.match(await client.closed, got);
      });
    }
    await assertServes(address);
  });
});

Deno.test("a call over HTTP/2 that does not come to its end is cut off, others are not", () =>
  withStub({ requestTimeoutMs: 300 }, async ({ address, stub }) => {
    const client = await connectRaw(address);
    client.send(PREFACE);
    client.send(SETTINGS);
    const slow = stub.slowCall();
    client.send(grpcHeaders("GetSubnet", 1));
    client.send(
      frame("data", {
        stream: 1,
        flags: END_STREAM,
        payload: new Uint8Array(5),
      }),
    );
    const { signal } = await slow;
    client.send(grpcHeaders("Info", 3));
    client.send(frame("data", { stream: 3, payload: new Uint8Array(2) }));
    await client.untilFrame({ ...WHOLE_ANSWER, stream: 3 });
    assert.equal(signal.aborted, false);
    client.socket.destroy();
  }));

Deno.test("a listener closes connections above its limit, and no others", () =>
  withStub({ maxConnections: 3 }, async ({ address, socketPath }) => {
    const clients = await Promise.all(
      Array.from({ length: 3 }, () => connectRaw(address)),
    );
    const [first] = clients;
    const tooMany = await connectRaw(address);
    assert.equal(await tooMany.closed, "");
    await assertServes(socketPath);
    for (const client of clients) {
      client.send(http1("Info"));
      await client.until(/"stellar/);
    }
    first!.socket.end();
    await first!.closed;
    await assertServes(address);
    for (const client of clients) client.socket.destroy();
  }));

Deno.test("a thousand idle connections are no burden", () =>
  withStub({ maxConnections: 1002 }, async ({ address }) => {
    const clients = await Promise.all(
      Array.from({ length: 1000 }, () => connectRaw(address)),
    );
    for (const [i, client] of clients.entries()) {
      if (i % 2 === 0) client.send(PREFACE);
    }
    await assertServes(address);
    for (const client of clients) client.socket.destroy();
    await Promise.all(clients.map(({ closed }) => closed));
    await assertServes(address);
  }));

Deno.test("a listener answers or closes what is no request, and serves on", async (t) => {
  const headers = { stream: 1, flags: END_HEADERS };
  const call = grpcHeaders("AllocateIP", 1);
  const rows: readonly (readonly [
    name: string,
    sent: readonly (string | Uint8Array)[],
    got: RegExp | Partial<Frame>,
  ])[] = [
    [
      "bytes of no meaning",
      ["\x00\xff\x80garbage\r\n\r\n"],
      /^HTTP\/1\.1 400 /,
    ],
    [
      "a TLS ClientHello",
      ["\x16\x03\x01\x00\xf8\x01\x00\x00\xf4\x03\x03"],
      /^HTTP\/1\.1 400 /,
    ],
    [
      "HTTP/1.0 without a host",
      [`POST ${SERVICE}/Info HTTP/1.0\r\n\r\n`],
      /^HTTP\/1\.1 400 /,
    ],
    [
      "HTTP/1.1 without a host",
      [`POST ${SERVICE}/Info HTTP/1.1\r\n\r\n`],
      /^HTTP\/1\.1 400 /,
    ],
    [
      "a host that is none",
      [http1("Info").replace("Host: a", "Host: [::")],
      /^HTTP\/1\.1 400 /,
    ],
    [
      "two lengths",
      [http1("Info", "{}", "Content-Length: 7\r\n")],
      /^HTTP\/1\.1 400 /,
    ],
    [
      "another preface",
      ["PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"],
      /^HTTP\/1\.1 400 /,
    ],
    [
      "a preface and garbage",
      [`${PREFACE}garbage, no frame at all`],
      { type: "goaway" },
    ],
    ["frames for no stream", [
      PREFACE,
      SETTINGS,
      frame("data", {
        stream: 7,
        payload: new Uint8Array(3),
      }),
    ], { type: "goaway" }],
    ["headers that are no HPACK", [
      PREFACE,
      SETTINGS,
      frame("headers", {
        ...headers,
        payload: new Uint8Array(9).fill(255),
      }),
    ], { type: "goaway" }],
    ["a message that is cut off", [
      PREFACE,
      SETTINGS,
      call,
      frame("data", {
        stream: 1,
        flags: END_STREAM,
        payload: Uint8Array.of(0, 0, 0, 0, 9, 1),
      }),
    ], WHOLE_ANSWER],
    ["no message", [
      PREFACE,
      SETTINGS,
      call,
      frame("data", {
        stream: 1,
        flags: END_STREAM,
      }),
    ], WHOLE_ANSWER],
  ];
  await withStub({}, async ({ address }) => {
    for (const [name, sent, got] of rows) {
      await t.step(name, async () => {
        const client = await connectRaw(address);
        for (const part of sent) client.send(part);
        await (got instanceof RegExp
          ? client.until(got)
          : client.untilFrame(got));
        client.socket.destroy();
        await assertServes(address);
      });
    }
  });
});
