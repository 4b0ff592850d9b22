import assert from "node:assert/strict";
import { request } from "node:http";
import { create } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  createClient,
  createRouterTransport,
  type ServiceImpl,
} from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";
import type { NetError } from "../../src/base/error.ts";
import { AgentService } from "../../src/gen/stellar/net/v1/agent_pb.ts";
import {
  ClusterService,
  ClusterServiceWatchResponseSchema,
  GetOverviewResponseSchema,
} from "../../src/gen/stellar/net/v1/cluster_pb.ts";
import { RegistryService } from "../../src/gen/stellar/net/v1/registry_pb.ts";
import { SERVICES } from "../../src/ui/forward.ts";
import { TOKEN_NAME } from "../../src/ui/page/token.ts";
import { UiServer } from "../../src/ui/server.ts";
import { isRead } from "../../src/api/access/reads.ts";
import { waitFor } from "../support/wait_for.ts";

const PAGE = {
  html: "<p>the map</p>",
  script: "const map = 1;",
  style: "body { color: red }",
};

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

type Headers = Readonly<Record<string, string>>;

/** What a browser that has opened the map sends with each request. */
interface Browser {
  readonly cookie: string;
  readonly [TOKEN_NAME]: string;
  readonly origin: string;
}

/** Serves the map of an agent whose cluster answers with the given handlers. */
async function serve(
  cluster: Partial<ServiceImpl<typeof ClusterService>> = {},
): Promise<UiServer & { readonly calls: readonly string[] }> {
  const calls: string[] = [];
  const transport = createRouterTransport(
    (router) =>
      router.service(ClusterService, {
        getOverview: () =>
          create(GetOverviewResponseSchema, { verdict: "all is well" }),
        ...cluster,
      }),
    {
      router: {
        interceptors: [(next) => (call) => {
          calls.push(call.method.name);
          return next(call);
        }],
      },
    },
  );
  const server = await UiServer.start({ transport, page: PAGE });
  return Object.assign(server, { calls });
}

function ask(
  { port }: UiServer,
  { path, method = "GET", headers = {}, body = "" }: {
    readonly path: string;
    readonly method?: string;
    readonly headers?: Headers;
    readonly body?: string;
  },
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    request(
      { host: "127.0.0.1", port, path, method, headers, agent: false },
      (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (part) => text += part);
        response.on("end", () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: text,
          }));
      },
    ).on("error", reject).end(body);
  });
}

function keyOf({ link }: UiServer): string {
  return link.replace(/^http:\/\/127\.0\.0\.1:\d+/, "");
}

/** Opens the map, as a browser does. */
async function open(server: UiServer): Promise<Browser> {
  const { status, headers, body } = await ask(server, { path: keyOf(server) });
  assert.equal(status, 200);
  const [token] = /(?<=name="token" content=")[\w-]+/.exec(body)!;
  const [cookie] = headers["set-cookie"] as string[];
  return {
    cookie: cookie!.split(";", 1)[0]!,
    [TOKEN_NAME]: token,
    origin: `http://127.0.0.1:${server.port}`,
  };
}

function call(
  server: UiServer,
  path: string,
  headers: Headers,
): Promise<Answer> {
  return ask(server, {
    path,
    method: "POST",
    body: "{}",
    headers: { "content-type": "application/json", ...headers },
  });
}

const OVERVIEW = "/stellar.net.v1.ClusterService/GetOverview";

Deno.test("the link opens the map once, and the cookie keeps it", async () => {
  await using server = await serve();
  assert.match(server.link, /^http:\/\/127\.0\.0\.1:\d+\/\?key=[\w-]{43}$/);
  const before = await ask(server, { path: "/" });
  assert.equal(before.status, 401);
  assert.match(before.body, /Run "stellar-net ui" again/);
  const wrong = await ask(server, { path: "/?key=wrong" });
  assert.equal(wrong.status, 403);
  const path = keyOf(server);
  const ahead = await ask(server, {
    path,
    headers: { "sec-purpose": "prefetch;prerender" },
  });
  assert.equal(ahead.status, 403);
  const { cookie } = await open(server);
  const again = await ask(server, { path });
  assert.equal(again.status, 403);
  assert.match(again.body, /has been used.*Run "stellar-net ui" again/);
  const page = await ask(server, { path: "/", headers: { cookie } });
  assert.equal(page.status, 200);
  assert.equal(page.body, PAGE.html);
  const own = await ask(server, { path, headers: { cookie } });
  assert.deepEqual([own.status, own.headers.location], [303, "/"]);
});

Deno.test("a link in a page of another site asks again, once", async () => {
  await using server = await serve();
  const link = {
    "sec-fetch-site": "cross-site",
    "sec-fetch-mode": "navigate",
    "sec-fetch-dest": "document",
  };
  const first = await ask(server, { path: "/", headers: link });
  assert.equal(first.status, 200);
  assert.match(first.body, /src="\/again\.js"/);
  const again = await ask(server, { path: "/?again", headers: link });
  assert.equal(again.status, 401);
  const { cookie } = await open(server);
  const own = await ask(server, { path: "/?again", headers: { cookie } });
  assert.deepEqual([own.status, own.headers.location], [303, "/"]);
});

Deno.test("the link and the session of a command open no map of another", async () => {
  await using first = await serve();
  const browser = await open(first);
  await using second = await serve();
  const { status } = await ask(second, { path: keyOf(first) });
  assert.equal(status, 403);
  const { cookie } = browser;
  const page = await ask(second, { path: "/", headers: { cookie } });
  assert.equal(page.status, 401);
  const origin = `http://127.0.0.1:${second.port}`;
  const { status: called } = await call(second, OVERVIEW, {
    ...browser,
    origin,
  });
  assert.equal(called, 401);
});

Deno.test("every answer loads nothing from elsewhere, and is not kept", async (t) => {
  await using server = await serve();
  const browser = await open(server);
  const rows: readonly [path: string, status: number, headers: Headers][] = [
    ["/", 200, { ...browser }],
    ["/", 401, {}],
    ["/?key=x", 403, {}],
    ["/page.js", 200, {}],
    ["/page.css", 200, {}],
    ["/open.js", 200, {}],
    ["/again.js", 200, {}],
    ["/missing", 404, {}],
    ["//", 404, {}],
    ["/", 403, { host: "rebind.example" }],
  ];
  for (const [path, status, headers] of rows) {
    await t.step(`${path} ${status}`, async () => {
      const answer = await ask(server, { path, headers });
      assert.equal(answer.status, status);
      assert.equal(
        answer.headers["content-security-policy"],
        "default-src 'none'; script-src 'self'; style-src 'self'; " +
          "img-src 'self' data:; connect-src 'self'; base-uri 'none'; " +
          "form-action 'none'; frame-ancestors 'none'",
      );
      assert.equal(answer.headers["x-content-type-options"], "nosniff");
      assert.equal(answer.headers["referrer-policy"], "no-referrer");
      assert.equal(answer.headers["cache-control"], "no-store");
    });
  }
  const { body, headers } = await ask(server, { path: "/page.js" });
  assert.equal(body, PAGE.script);
  assert.equal(headers["content-type"], "text/javascript; charset=utf-8");
});

Deno.test("a call needs the cookie, the token and the page's own origin", async (t) => {
  await using server = await serve();
  const browser = await open(server);
  const { cookie: _, ...noCookie } = browser;
  const { [TOKEN_NAME]: __, ...noToken } = browser;
  const { origin: ___, ...noOrigin } = browser;
  const rows: readonly [name: string, headers: Headers, status: number][] = [
    ["all three", { ...browser }, 200],
    ["no cookie", noCookie, 401],
    ["a cookie stolen by a server on another port", noToken, 401],
    ["no origin", noOrigin, 403],
    ["another port's page", { ...browser, origin: "http://127.0.0.1:1" }, 403],
    ["a page of another site", {
      ...browser,
      "sec-fetch-site": "cross-site",
    }, 403],
    ["another host", { ...browser, host: "rebind.example" }, 403],
  ];
  for (const [name, headers, status] of rows) {
    await t.step(name, async () => {
      const before = server.calls.length;
      const answer = await call(server, OVERVIEW, headers);
      assert.equal(answer.status, status, answer.body);
      assert.equal(server.calls.length - before, status === 200 ? 1 : 0);
    });
  }
  const refused = await call(server, OVERVIEW, noToken);
  assert.equal(JSON.parse(refused.body).code, "unauthenticated");
});

Deno.test("every call that may change something is refused by name, and reaches no agent", async () => {
  await using server = await serve();
  const browser = await open(server);
  const [, ...rest] = server.calls;
  assert.deepEqual(rest, []);
  const refused = SERVICES.flatMap(({ typeName, methods }) =>
    methods.filter((method) => method.methodKind === "unary" && !isRead(method))
      .map(({ name }) => `${typeName}/${name}`)
  );
  assert.ok(refused.includes("stellar.net.v1.AgentService/Leave"));
  const others = ["grpc.health.v1.Health/Check", "x", "a/../b"]
    .concat("stellar.services.network.v1.Network/AddRoute");
  for (const name of [...refused, ...others]) {
    const { status, body } = await call(server, `/${name}`, { ...browser });
    const { code, message } = JSON.parse(body);
    assert.deepEqual([status, code], [403, "permission_denied"], name);
    assert.equal(
      message,
      `Cannot pass on "${name}": the map only reads; use the command line to change something`,
    );
  }
  assert.equal(server.calls.length, 1);
});

/** A client as the page has it, for a browser that opened the map. */
function transportOf(browser: Browser) {
  return createConnectTransport({
    baseUrl: browser.origin,
    interceptors: [(next) => (call) => {
      for (const [name, value] of Object.entries(browser)) {
        call.header.set(name, value);
      }
      return next(call);
    }],
    fetch: async (...args) => await fetch(...args),
  });
}

Deno.test("a stream that changes something is refused, too", async () => {
  await using server = await serve();
  const transport = transportOf(await open(server));
  const client = createClient(AgentService, transport);
  await assert.rejects(
    Array.fromAsync(client.backup({})),
    (error: ConnectError) => {
      assert.equal(error.code, Code.PermissionDenied);
      assert.match(error.rawMessage, /AgentService\/Backup": the map only/);
      return true;
    },
  );
});

Deno.test("the map passes on what the agent answers: messages, streams and errors", async () => {
  let isStreaming = false;
  await using server = await serve({
    async *watch({ revision }, { signal }) {
      isStreaming = true;
      try {
        yield create(ClusterServiceWatchResponseSchema, {
          revision: `${revision}+1`,
        });
        await new Promise((resolve) =>
          signal.addEventListener("abort", resolve)
        );
      } finally {
        isStreaming = false;
      }
    },
    find: () => {
      throw new ConnectError("nothing is known", Code.NotFound);
    },
  });
  const transport = transportOf(await open(server));
  const client = createClient(ClusterService, transport);
  assert.equal((await client.getOverview({})).verdict, "all is well");
  await assert.rejects(client.find({ what: "x" }), (error: ConnectError) => {
    assert.equal(error.code, Code.NotFound);
    assert.equal(error.rawMessage, "nothing is known");
    return true;
  });
  const stop = new AbortController();
  const revisions: string[] = [];
  await assert.rejects(async () => {
    const messages = client.watch({ revision: "7" }, { signal: stop.signal });
    for await (const { revision } of messages) {
      revisions.push(revision);
      assert.ok(isStreaming);
      stop.abort();
    }
  });
  assert.deepEqual(revisions, ["7+1"]);
  await waitFor("the agent's stream to end with the browser's", () => {
    return !isStreaming;
  });
  await assert.rejects(
    createClient(RegistryService, transport).listNodes({}),
    (error: ConnectError) => error.code === Code.Unimplemented,
  );
});

Deno.test("an agent that refuses the caller gets no map", async () => {
  await assert.rejects(
    serve({
      getOverview: () => {
        throw new ConnectError("not you", Code.PermissionDenied);
      },
    }),
    /not you/,
  );
});

Deno.test("a port in use is an error that names the way out", async () => {
  await using server = await serve();
  const transport = createRouterTransport((router) =>
    router.service(ClusterService, { getOverview: () => ({}) })
  );
  await assert.rejects(
    UiServer.start({ transport, page: PAGE, port: server.port }),
    (error: NetError) => {
      assert.equal(error.code, "failed_precondition");
      assert.match(error.message, /another program listens there.*--port/);
      return true;
    },
  );
});

Deno.test("the map ends with the command, with calls in flight", async () => {
  const server = await serve({
    // deno-lint-ignore require-yield
    async *watch(_, { signal }) {
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
    },
  });
  const browser = await open(server);
  const client = createClient(ClusterService, transportOf(browser));
  const stream = assert.rejects(Array.fromAsync(client.watch({})));
  await waitFor("the stream", () => server.calls.includes("Watch"));
  await server[Symbol.asyncDispose]();
  await stream;
  await assert.rejects(ask(server, { path: "/", headers: { ...browser } }));
});
