import assert from "node:assert/strict";
import { Code, ConnectError } from "@connectrpc/connect";
import fc from "fast-check";
import {
  encodeGrpcMessage,
  formatGrpcStatus,
} from "../../../src/api/server/grpc.ts";

Deno.test("encodeGrpcMessage() encodes percent signs and what is not printable ASCII", () => {
  const rows: readonly [message: string, encoded: string][] = [
    ["", ""],
    [
      'Cannot find "10.0.0.0/8": it is not there',
      'Cannot find "10.0.0.0/8": it is not there',
    ],
    ["100 %", "100 %25"],
    ["a\r\nb", "a%0D%0Ab"],
    ["é", "%C3%A9"],
    ["\ud800", "%EF%BF%BD"],
  ];
  for (const [message, encoded] of rows) {
    assert.equal(encodeGrpcMessage(message), encoded);
  }
});

Deno.test("encodeGrpcMessage() is undone by decodeURIComponent()", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), (message) => {
    assert.equal(
      decodeURIComponent(encodeGrpcMessage(message)),
      message.toWellFormed(),
    );
  }));
});

Deno.test("formatGrpcStatus() gives code, message and metadata of an error", () => {
  const error = new ConnectError("a: b", Code.NotFound, { "x-more": "c" });
  assert.deepEqual(formatGrpcStatus(error), {
    "grpc-status": "5",
    "grpc-message": "a: b",
    "x-more": "c",
  });
});
