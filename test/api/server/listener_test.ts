import assert from "node:assert/strict";
import { matchStart } from "../../../src/api/server/listener.ts";
import {
  ACK,
  connectRaw,
  END_HEADERS,
  END_STREAM,
  frame,
  PREFACE,
} from "../../support/raw_client.ts";
import {
  assertServes,
  grpcHeaders,
  http1Call,
  withStubServer,
} from "../../support/stub_network.ts";

const SETTINGS = frame("settings");
/** A HEADERS frame that is all of an answer. */
const WHOLE_ANSWER = {
  type: "headers",
  flags: END_HEADERS | END_STREAM,
} as const;

Deno.test("matchStart() recognises the start of a protocol as soon as it can", () => {
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
    const [bytes, start] = [text, PREFACE].map((text) =>
      new TextEncoder().encode(text)
    );
    assert.equal(matchStart(bytes!, start!), match, text);
  }
});

for (const over of ["tcp", "unix"] as const) {
  Deno.test(`a listener over ${over} takes what comes byte by byte`, () =>
    withStubServer({}, async ({ address, socketPath }) => {
      const target = over === "tcp" ? address : socketPath;
      const http2 = await connectRaw(target);
      const request = http1Call("Info");
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
  withStubServer({}, async ({ address }) => {
    const client = await connectRaw(address);
    for (let i = 1; i <= 3; i++) {
      client.send(http1Call("Info"));
      await client.until(new RegExp(`(?:200 OK[^]*?"stellar[^]*?){${i}}`));
    }
    client.socket.end();
    await client.closed;
  }));

Deno.test("a listener disconnects a client that stops sending", async (t) => {
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
    ["half a body", http1Call("Info", "{}").slice(0, -1), /^HTTP\/1\.1 408 /],
    ["nothing after an answer", http1Call("Info"), /^HTTP\/1\.1 200 OK\r\n/],
  ];
  const limits = {
    headerTimeoutMs: 300,
    requestTimeoutMs: 300,
    keepAliveTimeoutMs: 300,
  };
  await withStubServer(limits, async ({ address }) => {
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
  withStubServer({ requestTimeoutMs: 300 }, async ({ address, stub }) => {
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
  withStubServer({ maxConnections: 3 }, async ({ address, socketPath }) => {
    const clients = await Promise.all(
      Array.from({ length: 3 }, () => connectRaw(address)),
    );
    const [first] = clients;
    const tooMany = await connectRaw(address);
    assert.equal(await tooMany.closed, "");
    await assertServes(socketPath);
    for (const client of clients) {
      client.send(http1Call("Info"));
      await client.until(/"stellar/);
    }
    first!.socket.end();
    await first!.closed;
    await assertServes(address);
    for (const client of clients) client.socket.destroy();
  }));

Deno.test("a thousand idle connections are no burden", () =>
  withStubServer({ maxConnections: 1002 }, async ({ address }) => {
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
