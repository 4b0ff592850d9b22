import {
  connectRaw,
  END_HEADERS,
  END_STREAM,
  type Frame,
  frame,
  PREFACE,
} from "../../support/raw_client.ts";
import {
  assertServes,
  grpcHeaders,
  http1Call,
  STUB_PATH,
  withStubServer,
} from "../../support/stub_network.ts";

const SETTINGS = frame("settings");
/** A HEADERS frame that is all of an answer. */
const WHOLE_ANSWER = {
  type: "headers",
  flags: END_HEADERS | END_STREAM,
} as const;

Deno.test("a listener answers or closes malformed requests, and serves on", async (t) => {
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
      [`POST ${STUB_PATH}/Info HTTP/1.0\r\n\r\n`],
      /^HTTP\/1\.1 400 /,
    ],
    [
      "HTTP/1.1 without a host",
      [`POST ${STUB_PATH}/Info HTTP/1.1\r\n\r\n`],
      /^HTTP\/1\.1 400 /,
    ],
    [
      "an invalid host",
      [http1Call("Info").replace("Host: localhost", "Host: [::")],
      /^HTTP\/1\.1 400 /,
    ],
    [
      "two lengths",
      [http1Call("Info", "{}", "Content-Length: 7\r\n")],
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
  await withStubServer({}, async ({ address }) => {
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

Deno.test("requests that are being received may not be too much together", async (t) => {
  const limits = { maxReceivedBytes: 3000, maxMessageBytes: 2500 };
  await withStubServer(limits, async ({ address }) => {
    await t.step("gRPC", async () => {
      const client = await connectRaw(address);
      client.send(PREFACE);
      client.send(SETTINGS);
      const part = { payload: new Uint8Array(2000) };
      for (const stream of [1, 3]) {
        client.send(grpcHeaders("Info", stream));
        client.send(frame("data", { ...part, stream }));
      }
      await client.untilFrame({ ...WHOLE_ANSWER, stream: 3 });
      client.send(
        frame("rst_stream", { stream: 1, payload: new Uint8Array(4) }),
      );
      client.send(grpcHeaders("Info", 5));
      client.send(frame("data", {
        stream: 5,
        flags: END_STREAM,
        payload: new Uint8Array(5),
      }));
      await client.untilFrame({ type: "data", stream: 5 });
      client.socket.destroy();
    });
    await t.step("Connect", async () => {
      const body = JSON.stringify({ id: "x".repeat(2000) });
      const [first, second] = await Promise.all([
        connectRaw(address),
        connectRaw(address),
      ]);
      const slow = http1Call("AllocateIP", body);
      first.send(slow.slice(0, -1));
      // Once this is answered, what was sent before it has been read.
      await assertServes(address);
      second.send(slow);
      await second.until(/^HTTP\/1\.1 429 [^]*resource_exhausted/);
      first.send(slow.slice(-1));
      await first.until(/^HTTP\/1\.1 200 /);
      second.send(slow);
      await second.until(/200 OK/);
      first.socket.destroy();
      second.socket.destroy();
    });
  });
});
