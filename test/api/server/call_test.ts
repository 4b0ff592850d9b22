import assert from "node:assert/strict";
import { request } from "node:http";
import { refusePage } from "../../../src/api/server/call.ts";
import { Monitor } from "../../../src/api/server/monitor.ts";
import type { Caller } from "../../../src/api/access/call_context.ts";
import {
  createStubNetwork,
  grpcHeaders,
  STUB_PATH,
} from "../../support/stub_network.ts";
import { withRpcServer } from "../../support/rpc_server.ts";
import {
  connectRaw,
  END_STREAM,
  frame,
  PREFACE,
} from "../../support/raw_client.ts";

const LOOPBACK: Caller = { kind: "loopback", address: "127.0.0.1" };

Deno.test("refusePage() lets in hosts that are addresses or localhost, and no Origin", async (t) => {
  const rows: readonly [host: string | undefined, isAllowed: boolean][] = [
    ["127.0.0.1:9000", true],
    ["127.0.0.1", true],
    ["198.18.0.1:9000", true],
    ["[::1]:9000", true],
    ["[2001:db8::1]", true],
    ["localhost", true],
    ["LOCALHOST:9000", true],
    ["evil.example", false],
    ["evil.example:9000", false],
    ["localhost.evil.example", false],
    ["127.0.0.1.evil.example", false],
    ["evil.example@127.0.0.1", false],
    ["127.0.0.1:9000.evil.example", false],
    ["[evil.example]:9000", false],
    ["127.1", false],
    ["::1", false],
    ["", false],
    [undefined, false],
  ];
  for (const [host, isAllowed] of rows) {
    await t.step(JSON.stringify(host) ?? "none", () => {
      const headers = host === undefined ? {} : { host };
      const plain: Caller = { kind: "plain", address: "198.18.0.9" };
      assert.equal(refusePage(headers, LOOPBACK) === undefined, isAllowed);
      assert.equal(refusePage(headers, plain) === undefined, isAllowed);
      assert.equal(refusePage(headers, { kind: "socket" }), undefined);
    });
  }
  const origins = ["http://localhost:9000", "http://127.0.0.1:9000", "null"];
  for (const origin of origins) {
    await t.step(`Origin ${origin}`, () => {
      const headers = { host: "127.0.0.1:9000", origin };
      assert.match(
        refusePage(headers, LOOPBACK)!.message,
        /^Cannot answer a web page/,
      );
      assert.equal(refusePage(headers, { kind: "socket" }), undefined);
    });
  }
});

/** The status of an HTTP/1.1 request. */
function ask(
  port: number,
  path: string,
  headers: Record<string, string>,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const call = request({ port, path, method: "POST", headers, agent: false });
    call.on("response", (response) => {
      response.resume();
      resolve(response.statusCode!);
    });
    call.on("error", reject).end("{}");
  });
}

Deno.test("a server answers no web page in plain text, on any path", async (t) => {
  const stub = createStubNetwork();
  const empty = () => Promise.resolve([]);
  const monitor = new Monitor({
    metrics: () => Promise.resolve({ text: "", contentType: "text/plain" }),
    live: empty,
    ready: empty,
  });
  await withRpcServer({ routes: stub.routes, monitor }, async (running) => {
    const { address, server } = running;
    const metrics = await server.listenMetrics({
      hostname: "127.0.0.1",
      port: 0,
    });
    const json = { "content-type": "application/json" };
    const evil = { ...json, host: "evil.example:9000" };
    const page = { ...json, origin: "http://evil.example" };
    for (const headers of [evil, page]) {
      await t.step(JSON.stringify(headers), async () => {
        for (const path of [`${STUB_PATH}/Info`, "/metrics", "/x"]) {
          assert.equal(await ask(address.port, path, headers), 403, path);
        }
        for (const path of ["/metrics", "/x"]) {
          assert.equal(await ask(metrics.port, path, headers), 403, path);
        }
      });
    }
    await t.step("a program", async () => {
      assert.equal(await ask(address.port, `${STUB_PATH}/Info`, json), 200);
    });
    await t.step("gRPC to another host", async () => {
      const client = await connectRaw(address);
      client.send(PREFACE);
      client.send(frame("settings"));
      client.send(grpcHeaders("Info", 1, { ":authority": "evil.example" }));
      client.send(frame("data", {
        stream: 1,
        flags: END_STREAM,
        payload: new Uint8Array(5),
      }));
      await client.until(/Cannot answer a request to host/);
      client.socket.destroy();
    });
  });
});
