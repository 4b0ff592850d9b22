import assert from "node:assert/strict";
import {
  type AskAgent,
  connectWithin,
  type LocalCall,
} from "../../src/cni/agent_pipe.ts";
import {
  encodeRequest,
  HttpResponseReader,
} from "../../src/cni/text/http_message.ts";

const REQUEST = encodeRequest("/a.B/C", '{"x":"é"}', { timeoutMs: 1500 });
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** An API that answers each call with one status and text. */
function api(status: number, text: string) {
  const calls: LocalCall[] = [];
  const settled: boolean[] = [];
  const ask: AskAgent = (call) => {
    calls.push(call);
    return Promise.resolve({
      status,
      body: encoder.encode(text),
      settle: (isDelivered) => settled.push(isDelivered),
    });
  };
  return { ask, calls, settled };
}

for (const size of [1, 7, 4096]) {
  Deno.test(`connectWithin() passes a request and its answer on in pieces of ${size} bytes`, async () => {
    const { ask, calls, settled } = api(429, '{"code":"é"}');
    const connection = connectWithin(ask);
    for (let at = 0; at < REQUEST.length; at += size) {
      const piece = REQUEST.subarray(at, at + size);
      assert.equal(await connection.write(piece), piece.length);
    }
    const reader = new HttpResponseReader({ maxBytes: 1000 });
    const buffer = new Uint8Array(size);
    let response;
    while (!response) {
      const count = await connection.read(buffer);
      if (count !== null) reader.push(buffer.subarray(0, count));
      response = reader.read({ ended: count === null });
    }
    assert.equal(response.status, 429);
    assert.equal(decoder.decode(response.body), '{"code":"é"}');
    assert.deepEqual(
      calls.map(({ path, timeoutMs, body }) => [
        ...[path, timeoutMs, decoder.decode(body)],
      ]),
      [["/a.B/C", 1500, '{"x":"é"}']],
    );
    connection.close();
    assert.deepEqual(settled, [true]);
    assert.equal(calls[0]!.signal.aborted, false);
  });
}

Deno.test("connectWithin() tells the API that a caller left without its answer", async () => {
  const { ask, calls, settled } = api(200, "{}");
  const connection = connectWithin(ask);
  await connection.write(REQUEST);
  connection.close();
  await Promise.resolve();
  assert.deepEqual([calls[0]!.signal.aborted, settled], [true, [false]]);
});

Deno.test("connectWithin() looks for the end of a request's head in 1 KiB", async () => {
  const length = (pad: string) =>
    encoder.encode(`POST /a.B/C HTTP/1.1\r\nX: ${pad}\r\n\r\n`);
  for (const [bytes, count] of [[1_024, 1], [1_025, 0]] as const) {
    const { ask, calls } = api(200, "{}");
    const connection = connectWithin(ask);
    const pad = "x".repeat(bytes - length("").length);
    await connection.write(length(pad));
    assert.equal(calls.length, count, `${bytes} bytes`);
    connection.close();
  }
});

Deno.test("connectWithin() has no answer before a whole request, and passes errors on", async () => {
  const connection = connectWithin(() => Promise.reject(new Error("broken")));
  await connection.write(REQUEST.subarray(0, REQUEST.length - 1));
  assert.equal(await connection.read(new Uint8Array(10)), null);
  await connection.write(REQUEST.subarray(-1));
  await assert.rejects(connection.read(new Uint8Array(10)), /broken/);
  connection.close();
});
