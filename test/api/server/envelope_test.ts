import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import fc from "fast-check";
import { InfoResponseSchema as Schema } from "../../../src/gen/stellar/services/network/v1/network_pb.ts";
import { joinEnvelope, splitEnvelope } from "../../../src/api/server/grpc.ts";

Deno.test("splitEnvelope() reads what joinEnvelope() wrote, however it is cut", () => {
  fc.assert(fc.property(
    fc.string(),
    fc.array(fc.nat(40)),
    (id, cuts) => {
      const bytes = joinEnvelope(Schema, create(Schema, { id }));
      const chunks: Uint8Array[] = [];
      let from = 0;
      for (const cut of cuts) chunks.push(bytes.subarray(from, from += cut));
      chunks.push(bytes.subarray(from));
      assert.equal(splitEnvelope(Schema, chunks).id, id);
    },
  ));
});

Deno.test("splitEnvelope() refuses what is not one message", async (t) => {
  const rows: readonly [name: string, bytes: number[], message: RegExp][] = [
    ["nothing", [], /missing input message/],
    ["half a header", [0, 0, 0], /incomplete envelope/],
    ["half a message", [0, 0, 0, 0, 3, 10, 1], /promised 3 bytes, received 2/],
    ["two messages", [0, 0, 0, 0, 0, 0, 0, 0, 0, 0], /extra input message/],
    ["a compressed one", [1, 0, 0, 0, 0], /compressed envelope/],
    ["4 GiB", [0, 255, 255, 255, 255, 1], /promised 4294967295 bytes/],
    [
      "no protobuf",
      [0, 0, 0, 0, 1, 255],
      /^Cannot read stellar\..*InfoResponse: /,
    ],
    ["no UTF-8", [0, 0, 0, 0, 3, 10, 1, 255], /^Cannot read stellar\./],
  ];
  for (const [name, bytes, rawMessage] of rows) {
    await t.step(name, () => {
      assert.throws(() => splitEnvelope(Schema, [Uint8Array.from(bytes)]), (
        error: { code: Code; rawMessage: string },
      ) => {
        assert.equal(error.code, Code.InvalidArgument);
        assert.match(error.rawMessage, rawMessage);
        return true;
      });
    });
  }
});
