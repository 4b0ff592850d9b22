import assert from "node:assert/strict";
import { connect } from "node:http2";
import { once } from "node:events";
import { request } from "node:http";
import type { Condition } from "../../../src/agent/status.ts";
import { deferEnd } from "../../../src/api/server/http2_sessions.ts";
import { Monitor } from "../../../src/api/server/monitor.ts";
import { createRpcServer } from "../../../src/api/server/server.ts";
import { createStubNetwork, STUB_PATH } from "../../support/stub_network.ts";
import { withTempDir } from "../../support/temp_dir.ts";

const WELL: Condition = { name: "store", holds: true, reason: "it reads" };
const ILL: Condition = { name: "subnet", holds: false, reason: "none is left" };

interface Places {
  readonly server: ReturnType<typeof createRpcServer>;
  readonly apiUrl: string;
  readonly metricsUrl: string;
  readonly socketPath: string;
}

/** A monitor whose readiness a test sets, served at each kind of place. */
function withMonitor(
  ready: () => readonly Condition[],
  use: (places: Places) => Promise<void>,
): Promise<void> {
  return withTempDir(async (dir) => {
    const monitor = new Monitor({
      metrics: () => Promise.resolve({ text: "a 1\n", contentType: "text/x" }),
      live: () => Promise.resolve([WELL]),
      ready: () => Promise.resolve([WELL, ...ready()]),
    });
    const server = createRpcServer({
      routes: createStubNetwork().routes,
      monitor,
    });
    const socketPath = `${dir}/agent.sock`;
    try {
      await server.listenUnix(socketPath);
      const at = { hostname: "127.0.0.1", port: 0 };
      const api = await server.listenTcp(at);
      const metrics = await server.listenMetrics(at);
      await use({
        server,
        apiUrl: `http://127.0.0.1:${api.port}`,
        metricsUrl: `http://127.0.0.1:${metrics.port}`,
        socketPath,
      });
    } finally {
      await server.close({ graceMs: 0 });
    }
  });
}

async function get(
  url: string,
  init?: RequestInit,
): Promise<readonly [number, string | null, string]> {
  // A connection each: none is left open for the next test.
  using client = Deno.createHttpClient({ poolMaxIdlePerHost: 0 });
  const response = await fetch(url, { ...init, client });
  const { status, headers } = response;
  return [status, headers.get("content-type"), await response.text()];
}

/** GET over HTTP/2. */
async function getHttp2(url: string, path: string): Promise<number> {
  const session = connect(url);
  deferEnd(session);
  session.on("error", () => {});
  const stream = session.request({ ":path": path }).resume();
  const [[headers]] = await Promise.all([
    once(stream, "response"),
    once(stream, "close"),
  ]);
  const closed = once(session, "close");
  session.close();
  await closed;
  return headers[":status"];
}

function getUnix(socketPath: string, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    request({ socketPath, path, agent: false }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (text) => body += text)
        .on("end", () => resolve(`${response.statusCode} ${body}`));
    }).on("error", reject).end();
  });
}

const OK = { name: "store", status: "ok", reason: "it reads" };
const SERVING = { name: "serving", status: "ok", reason: "it answers calls" };

Deno.test("Monitor answers at the API, at its own address and at the socket", async (t) => {
  await withMonitor(() => [], async ({ apiUrl, metricsUrl, socketPath }) => {
    for (const [name, url] of [["API", apiUrl], ["own", metricsUrl]]) {
      await t.step(name!, async () => {
        assert.deepEqual(await get(`${url}/metrics`), [200, "text/x", "a 1\n"]);
        const [live, type, body] = await get(`${url}/healthz`);
        assert.deepEqual([live, type], [200, "application/json"]);
        assert.deepEqual(JSON.parse(body), { status: "ok", checks: [OK] });
        const [ready, , text] = await get(`${url}/readyz?verbose`);
        assert.equal(ready, 200);
        assert.deepEqual(JSON.parse(text), {
          status: "ok",
          checks: [SERVING, OK],
        });
        const head = await get(`${url}/metrics`, { method: "HEAD" });
        assert.deepEqual(head, [200, "text/x", ""]);
        const [post] = await get(`${url}/metrics`, { method: "POST" });
        assert.equal(post, 405);
      });
    }
    await t.step("socket", async () => {
      assert.equal(await getUnix(socketPath, "/metrics"), "200 a 1\n");
    });
    await t.step("HTTP/2", async () => {
      assert.equal(await getHttp2(apiUrl, "/readyz"), 200);
    });
  });
});

Deno.test("Monitor answers 503 with the failed checks", async () => {
  let conditions: readonly Condition[] = [ILL];
  await withMonitor(() => conditions, async ({ metricsUrl }) => {
    const [status, , body] = await get(`${metricsUrl}/readyz`);
    assert.equal(status, 503);
    assert.deepEqual(JSON.parse(body), {
      status: "failed",
      checks: [
        SERVING,
        OK,
        { name: "subnet", status: "failed", reason: "none is left" },
      ],
    });
    const [live] = await get(`${metricsUrl}/healthz`);
    assert.equal(live, 200);
    conditions = [];
    assert.equal((await get(`${metricsUrl}/readyz`))[0], 200);
  });
});

Deno.test("the address of the monitor serves no call, and that of the API all", async (t) => {
  await withMonitor(() => [], async ({ apiUrl, metricsUrl }) => {
    const call = {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: "{}",
    };
    const info = `${STUB_PATH}/Info`;
    await t.step("API", async () => {
      assert.equal((await get(`${apiUrl}${info}`, call))[0], 200);
      assert.equal((await get(`${apiUrl}/other`))[0], 404);
    });
    await t.step("own", async () => {
      const [status, , body] = await get(`${metricsUrl}${info}`, call);
      assert.deepEqual(
        [status, body],
        [404, "There are /metrics, /healthz, /readyz\n"],
      );
    });
    await t.step("own, HTTP/2", async () => {
      const session = connect(metricsUrl);
      deferEnd(session);
      session.on("error", () => {});
      await once(session, "close");
    });
  });
});

Deno.test("Monitor is not ready any more once it is stopped", async () => {
  const monitor = new Monitor({
    metrics: () => Promise.reject(new Error("a secret")),
    live: () => Promise.resolve([]),
    ready: () => Promise.resolve([]),
  });
  const ask = (url: string) =>
    new Promise<string>((resolve) => {
      let status = 0;
      monitor.handle(
        { url, method: "GET", headers: {}, on: () => {}, resume: () => {} },
        {
          on: () => {},
          writeHead: (code) => void (status = code),
          end: (body) => resolve(`${status} ${body}`),
          destroy: () => resolve("destroyed"),
        },
        { caller: { kind: "socket" }, isPublic: false },
      );
    });
  assert.match(await ask("/readyz"), /^200 /);
  monitor.stop();
  assert.match(await ask("/readyz"), /^503 [^]*"it is stopping"/);
  assert.match(await ask("/healthz"), /^200 /);
  assert.equal(
    await ask("/metrics"),
    "500 internal error; the agent's log has the cause\n",
  );
});
