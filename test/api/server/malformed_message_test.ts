import assert from "node:assert/strict";
import { refuseMalformed } from "../../../src/api/server/connect.ts";

const encoder = new TextEncoder();

async function* pieces(text: string): AsyncIterable<Uint8Array> {
  for (const char of text) yield encoder.encode(char);
}

async function textOf(
  body: AsyncIterable<Uint8Array> | undefined,
): Promise<string> {
  let text = "";
  for await (const chunk of body!) text += new TextDecoder().decode(chunk);
  return text;
}

/** A Connect error without its details, of which there has to be one. */
async function errorOf(body: unknown): Promise<object> {
  const { details, ...error } = JSON.parse(await textOf(body as never));
  assert.deepEqual(details.map(({ type }: { type: string }) => type), [
    "google.rpc.ErrorInfo",
  ]);
  return error;
}

function connectError(code: string, message: string) {
  const header = new Headers({ "content-type": "application/json" });
  return {
    status: 500,
    header,
    body: pieces(JSON.stringify({ code, message })),
  };
}

Deno.test("refuseMalformed() blames the client of a Connect call for bytes that are no message", async () => {
  const answer = await refuseMalformed(
    connectError("internal", "parse binary: premature \u202eEOF"),
  );
  assert.equal(answer.status, 400);
  assert.deepEqual(await errorOf(answer.body), {
    code: "invalid_argument",
    message: "parse binary: premature \\u202eEOF",
  });
});

Deno.test("refuseMalformed() leaves other errors of Connect calls", async () => {
  const answer = await refuseMalformed(connectError("internal", "a defect"));
  assert.equal(answer.status, 500);
  assert.deepEqual(await errorOf(answer.body), {
    code: "internal",
    message: "a defect",
  });
});

Deno.test("refuseMalformed() blames the client of a gRPC call, and for nothing else", async () => {
  const rows = [["13", "parse binary: premature EOF", "3"]]
    .concat([["13", "a defect: 5 %", "13"], ["0", "", "0"]])
    .concat([
      ["13", "received compressed envelope, but x", "3"],
      ["5", "parse binary: x", "5"],
    ]);
  for (const [status, message, wanted] of rows) {
    const trailer = new Headers({
      "grpc-status": status!,
      "grpc-message": encodeURIComponent(message!),
    });
    const body = pieces("abc");
    const answer = await refuseMalformed({ status: 200, body, trailer });
    assert.equal(await textOf(answer.body as never), "abc");
    assert.equal(trailer.get("grpc-status"), wanted!, message!);
  }
});

Deno.test("refuseMalformed() encodes the message of a gRPC error no more than needed", async () => {
  const trailer = new Headers({
    "grpc-status": "7",
    "grpc-message": encodeURIComponent("Cannot call: 100 % of é, no"),
  });
  const body = pieces("");
  const answer = await refuseMalformed({ status: 200, body, trailer });
  await textOf(answer.body as never);
  assert.equal(
    trailer.get("grpc-message"),
    "Cannot call: 100 %25 of %C3%A9, no",
  );
});
