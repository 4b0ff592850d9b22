import assert from "node:assert/strict";
import fc from "fast-check";
import {
  encodeRequest,
  HttpResponseReader,
  HttpSyntaxError,
} from "../../../src/cni/text/http_message.ts";

const encoder = new TextEncoder();

/** Reads a response that comes in pieces, and then ends or stays open. */
function readAll(
  pieces: readonly Uint8Array[],
  options: { readonly ended: boolean; readonly maxBytes?: number },
): { status: number; text: string } | undefined {
  const reader = new HttpResponseReader({ maxBytes: 1e6, ...options });
  for (const piece of pieces) {
    reader.push(piece);
    const response = reader.read({ ended: false });
    if (response) return readable(response);
  }
  const response = reader.read({ ended: options.ended });
  return response && readable(response);
}

function readable(response: { status: number; body: Uint8Array }) {
  return {
    status: response.status,
    text: new TextDecoder().decode(response.body),
  };
}

function chunked(body: Uint8Array, size: number): Uint8Array {
  const bytes: number[] = [];
  const add = (text: string) => bytes.push(...encoder.encode(text));
  add("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (let at = 0; at < body.length; at += size) {
    const chunk = body.subarray(at, at + size);
    add(`${chunk.length.toString(16)};x=y\r\n`);
    bytes.push(...chunk);
    add("\r\n");
  }
  add("0\r\nTrailer: x\r\n\r\n");
  return Uint8Array.from(bytes);
}

Deno.test("encodeRequest() is one request of the Connect protocol", () => {
  const bytes = encodeRequest("/a.B/C", '{"a":"é"}', { timeoutMs: 1500 });
  assert.equal(
    new TextDecoder().decode(bytes),
    "POST /a.B/C HTTP/1.1\r\nhost: localhost\r\n" +
      "content-type: application/json\r\nconnect-protocol-version: 1\r\n" +
      "connect-timeout-ms: 1500\r\ncontent-length: 10\r\n" +
      'connection: close\r\n\r\n{"a":"é"}',
  );
});

Deno.test("HttpResponseReader reads a response however it is framed", async (t) => {
  const rows: readonly [name: string, text: string, ended: boolean][] = [
    [
      "by its length",
      "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
      false,
    ],
    [
      "by its length, and more behind it",
      "HTTP/1.1 200 OK\r\nCONTENT-LENGTH:2 \r\n\r\n{}HTTP",
      false,
    ],
    [
      "in chunks",
      "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" +
      "1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
      false,
    ],
    ["by its end", "HTTP/1.0 200 OK\r\nx: y\r\n\r\n{}", true],
    ["without a reason", "HTTP/1.1 200\r\n\r\n{}", true],
  ];
  for (const [name, text, ended] of rows) {
    await t.step(name, () => {
      assert.deepEqual(
        readAll([encoder.encode(text)], { ended }),
        { status: 200, text: "{}" },
      );
    });
  }
});

Deno.test("HttpResponseReader reads the same however the bytes are cut", () => {
  fc.assert(fc.property(
    fc.string({ unit: "binary", maxLength: 300 }),
    fc.integer({ min: 1, max: 50 }),
    fc.integer({ min: 1, max: 50 }),
    fc.boolean(),
    (text, chunkSize, pieceSize, isChunked) => {
      const body = encoder.encode(text);
      const head = encoder.encode(
        `HTTP/1.1 503 x\r\ncontent-length: ${body.length}\r\n\r\n`,
      );
      const message = isChunked
        ? chunked(body, chunkSize)
        : Uint8Array.of(...head, ...body);
      const pieces = [];
      for (let at = 0; at < message.length; at += pieceSize) {
        pieces.push(message.subarray(at, at + pieceSize));
      }
      assert.equal(
        readAll(pieces, { ended: false })?.text,
        new TextDecoder().decode(body),
      );
    },
  ));
});

Deno.test("HttpResponseReader waits for the rest of a response", () => {
  const whole = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
  for (let length = 0; length < whole.length; length++) {
    const part = encoder.encode(whole.slice(0, length));
    assert.equal(readAll([part], { ended: false }), undefined);
    assert.equal(readAll([part], { ended: true }), undefined);
  }
});

Deno.test("HttpResponseReader refuses malformed and oversize responses", async (t) => {
  const head = "HTTP/1.1 200 OK\r\n";
  const rows: readonly [name: string, text: string, message: RegExp][] = [
    ["another protocol", "SSH-2.0-x\r\n\r\n", /does not start with an HTTP/],
    ["HTTP/2", "HTTP/2 200\r\n\r\n", /does not start with an HTTP/],
    ["no status", "HTTP/1.1 OK\r\n\r\n", /does not start with an HTTP/],
    ["a header without a name", `${head}: x\r\n\r\n`, /a header has no name/],
    ["no header", `${head}x\r\n\r\n`, /a header has no name/],
    ["a length below 0", `${head}content-length: -1\r\n\r\n`, /not a number/],
    ["a length too long", `${head}content-length: 2000\r\n\r\n`, /longer than/],
    [
      "an unknown encoding",
      `${head}transfer-encoding: gzip\r\n\r\n`,
      /transfer encoding is not known/,
    ],
    [
      "a chunk without a size",
      `${head}transfer-encoding: chunked\r\n\r\nx\r\n`,
      /a chunk has no size/,
    ],
    ["too much of it", head + "x".repeat(1000), /longer than 1000 bytes/],
  ];
  for (const [name, text, message] of rows) {
    await t.step(name, () => {
      assert.throws(
        () => readAll([encoder.encode(text)], { ended: true, maxBytes: 1000 }),
        (error) =>
          error instanceof HttpSyntaxError && message.test(error.message),
      );
    });
  }
  await t.step("a chunk that never ends is not whole", () => {
    const text = `${head}transfer-encoding: chunked\r\n\r\nffffffff\r\nx`;
    assert.equal(readAll([encoder.encode(text)], { ended: true }), undefined);
  });
  await t.step("a head without an end", () => {
    assert.throws(
      () =>
        readAll([encoder.encode(head + "x".repeat(40_000))], { ended: true }),
      /its head is longer than/,
    );
  });
});
