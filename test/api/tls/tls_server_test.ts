import assert from "node:assert/strict";
import { connect, type TLSSocket } from "node:tls";
import { once } from "node:events";
import { type ConnectRouter, createClient } from "@connectrpc/connect";
import { Health } from "../../../src/gen/grpc/health/v1/health_pb.ts";
import { Network } from "../../../src/gen/stellar/services/network/v1/network_pb.ts";
import { createRpcTransport } from "../../../src/api/client/client.ts";
import { Monitor } from "../../../src/api/server/monitor.ts";
import { connectRaw } from "../../support/raw_client.ts";
import { createStubNetwork, http1Call } from "../../support/stub_network.ts";
import { run } from "../../support/run.ts";
import {
  curlTlsArgs,
  type Outcome,
  STELLAR_CLIENTS,
  type StellarTarget,
} from "../../support/stellar_clients.ts";
import { TestAuthority } from "../../support/test_authority.ts";
import type { ShownCertificate } from "../../support/test_authority.ts";
import {
  type RunningTlsServer,
  withTlsServer,
} from "../../support/tls_server.ts";

/** A stub that says what it was asked, and how often that was. */
function createEcho() {
  let calls = 0;
  return {
    calls: () => calls,
    routes(router: ConnectRouter) {
      router.service(Network, {
        allocateIP({ id, node }) {
          calls++;
          return { ip: id, node };
        },
      });
    },
  };
}

const GRPC_JS =
  new URL("../../support/grpc_js_main.ts", import.meta.url).pathname;
const ANSWER = { answer: { ip: "a", node: "n" } };

async function assertServes(
  { url, paths }: RunningTlsServer,
  kinds = ["Connect JSON with curl"],
): Promise<void> {
  for (const kind of kinds) {
    await using client = STELLAR_CLIENTS[kind]!({ url, tls: paths });
    const outcome = await client.call("AllocateIP", { id: "a", node: "n" });
    assert.deepEqual(outcome, ANSWER, kind);
  }
}

Deno.test("a server speaks every protocol over TLS", () =>
  withTlsServer(
    createEcho(),
    (running) => assertServes(running, Object.keys(STELLAR_CLIENTS)),
  ));

Deno.test("a server speaks HTTP/2 and HTTP/1.1 over TLS, with ALPN and without", (t) =>
  withTlsServer(createEcho(), async ({ url, paths }) => {
    const rows: readonly [flags: readonly string[], version: string][] = [
      [[], "2"],
      [["--http1.1"], "1.1"],
      [["--no-alpn"], "1.1"],
    ];
    for (const [flags, version] of rows) {
      await t.step(flags.join(" "), async () => {
        const { stdout, stderr } = await run("curl", [
          ...["--silent", "--show-error", ...flags, ...curlTlsArgs(paths)],
          ...["--write-out", " %{http_version}", "--json", '{"id": "a"}'],
          `${url}/${Network.typeName}/AllocateIP`,
        ]);
        assert.equal(stdout, `{"ip":"a"} ${version}`, stderr);
      });
    }
  }));

Deno.test("a server has nothing for clients without a certificate that it trusts", async (t) => {
  const echo = createEcho();
  await withTlsServer(echo, async (running) => {
    const { authority, dir, url } = running;
    const { caPath } = authority;
    const other = await TestAuthority.create(dir, "other");
    const days = -1;
    const rows: readonly [what: string, shown: ShownCertificate][] = [
      ["none", { caPath }],
      ["foreign", { ...await other.issue("foreign"), caPath }],
      ["self-signed", await authority.issue("self", { isSelfSigned: true })],
      ["expired", await authority.issue("expired", { days })],
      [
        "for servers alone",
        await authority.issue("server", { usage: "serverAuth" }),
      ],
    ];
    for (const [what, tls] of rows) {
      await t.step(what, async () => {
        const target = { url, tls };
        const outcomes = [callGrpcJs(target)].concat(
          ["gRPC with Python's grpcio", "Connect JSON with curl"]
            .map(async (kind) => {
              await using client = STELLAR_CLIENTS[kind]!(target);
              return await client.call("AllocateIP", { id: "a" });
            }),
        );
        const codes = (await Promise.all(outcomes))
          .map((outcome) => (outcome as { code?: string }).code);
        assert.deepEqual(codes, Array(3).fill("unavailable"));
      });
    }
    assert.equal(echo.calls(), 0);
    await assertServes(running);
  });
});

Deno.test("a server disconnects a client without TLS 1.3", async (t) => {
  await withTlsServer(createEcho(), async (running) => {
    const { port, url, paths } = running;
    const rows: readonly [what: string, sent: string | Uint8Array][] = [
      ["HTTP/1.1", "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"],
      ["HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
      ["zeros", new Uint8Array(1024)],
      ["a record that is too long", "\x16\x03\x01\xff\xff".padEnd(70_000)],
    ];
    for (const [what, sent] of rows) {
      await t.step(what, async () => {
        const client = await connectRaw({ hostname: "127.0.0.1", port });
        client.send(sent);
        assert.doesNotMatch(await client.closed, /HTTP/);
      });
    }
    await t.step("TLS 1.2", async () => {
      const { code, stderr } = await run("curl", [
        ...["--silent", "--show-error", "--tls-max", "1.2"],
        ...[...curlTlsArgs(paths), `${url}/metrics`],
      ]);
      assert.equal(code, 35, stderr);
      assert.match(stderr, /alert protocol version/);
    });
    await assertServes(running);
  });
});

Deno.test("a server bounds half-open handshakes and cuts them off", async () => {
  const limits = { maxConnections: 20, headerTimeoutMs: 3_000 };
  await withTlsServer({ ...createEcho(), limits }, async (running) => {
    const { port } = running;
    const clients = await Promise.all(
      Array.from(
        { length: 100 },
        () => connectRaw({ hostname: "127.0.0.1", port }),
      ),
    );
    // The beginning of a ClientHello, and no more.
    for (const client of clients) client.send("\x16\x03\x01\x02");
    let bounded = 0;
    const ends = clients.map(async ({ closed }, i) => {
      await closed;
      if (i >= limits.maxConnections) bounded++;
      else assert.equal(bounded, 80, "one within the bound was cut off before");
    });
    await Promise.all(ends);
    await assertServes(running);
  });
});

Deno.test("a server disconnects a client that sends nothing after its handshake", async () => {
  const limits = { headerTimeoutMs: 300 };
  await withTlsServer({ ...createEcho(), limits }, async (running) => {
    const socket = await connectTls(running);
    socket.resume();
    await once(socket, "close");
    await assertServes(running);
  });
});

Deno.test("a server that closes ends handshakes, and lets calls finish", async () => {
  const stub = createStubNetwork();
  await withTlsServer({ routes: stub.routes }, async (running) => {
    const { server, identity, url, port } = running;
    const idle = await connectRaw({ hostname: "127.0.0.1", port });
    idle.send("\x16\x03\x01\x02");
    const transport = createRpcTransport({ url }, { tls: identity });
    const seen = stub.slowCall();
    const answer = createClient(Network, transport).getSubnet({ node: "n" });
    await seen;
    const closed = server.close({ graceMs: 3_600_000 });
    assert.doesNotMatch(await idle.closed, /HTTP/);
    stub.release();
    assert.equal((await answer).subnetCidr, "n");
    await closed;
  });
});

Deno.test("a server takes up a new certificate while a stream goes on", async () => {
  await withTlsServer(createEcho(), async (running) => {
    const { server, identity, authority, url } = running;
    const health = createClient(
      Health,
      createRpcTransport({ url }, { tls: identity }),
    );
    const end = new AbortController();
    const statuses = health
      .watch({ service: "" }, { signal: end.signal })[Symbol.asyncIterator]();
    assert.equal((await statuses.next()).value.status, 1);
    const before = await shownBy(running);

    await authority.issue("host");
    await identity.reload();
    assert.notEqual(await shownBy(running), before);
    await assertServes(running);
    server.health.set("", false);
    assert.equal((await statuses.next()).value.status, 2);
    end.abort();
    await assert.rejects(statuses.next());
  });
});

Deno.test("a server takes new clients by new authorities", async () => {
  await withTlsServer(createEcho(), async (running) => {
    const { dir, identity, authority, url } = running;
    const other = await TestAuthority.create(dir, "other");
    const foreign = {
      ...await other.issue("foreign"),
      caPath: authority.caPath,
    };
    const call = async () => {
      await using client = STELLAR_CLIENTS["Connect JSON with curl"]!(
        { url, tls: foreign },
      );
      return await client.call("AllocateIP", { id: "a", node: "n" });
    };
    assert.notDeepEqual(await call(), ANSWER);
    await Deno.writeTextFile(
      authority.caPath,
      await Deno.readTextFile(other.caPath),
      { append: true },
    );
    await identity.reload();
    assert.deepEqual(await call(), ANSWER);
    await assertServes(running);
  });
});

Deno.test("a server cuts off clients of an authority that is taken out, and no others", async () => {
  await withTlsServer(createEcho(), async (running) => {
    const { dir, identity, authority, port } = running;
    const other = await TestAuthority.create(dir, "other");
    const foreign = await other.issue("foreign");
    const own = await Deno.readTextFile(authority.caPath);
    const both = own + await Deno.readTextFile(other.caPath);
    await Deno.writeTextFile(authority.caPath, both);
    await identity.reload();
    const kept = await connectTls(running);
    const cut = connect({
      cert: await Deno.readTextFile(foreign.certPath),
      key: await Deno.readTextFile(foreign.keyPath),
      ca: own,
      ...{ host: "127.0.0.1", port },
    });
    await once(cut, "secureConnect");
    // It is known to the server as soon as it is answered.
    cut.write(http1Call("AllocateIP", "{}"));
    await once(cut, "data");

    await Deno.writeTextFile(authority.caPath, own);
    const closed = once(cut.resume(), "close");
    await identity.reload();
    await closed;
    kept.write(http1Call("AllocateIP", '{"id":"a"}'));
    const [answer] = await once(kept, "data");
    assert.match(String(answer), /^HTTP\/1\.1 200 /);
    kept.destroy();
    await once(kept, "close");
  });
});

Deno.test("a server reports its health over TLS only to clients with a certificate", async () => {
  const monitor = new Monitor({
    metrics: () =>
      Promise.resolve({ text: "a 1\n", contentType: "text/plain" }),
    live: () => Promise.resolve([]),
    ready: () => Promise.resolve([]),
  });
  await withTlsServer({ ...createEcho(), monitor }, async (running) => {
    const { url, paths, authority: { caPath } } = running;
    const get = (page: string, tls: ShownCertificate) =>
      run("curl", ["--silent", ...curlTlsArgs(tls), `${url}${page}`]);
    assert.equal((await get("/metrics", paths)).stdout, "a 1\n");
    assert.match((await get("/healthz", paths)).stdout, /"status": "ok"/);
    assert.match((await get("/readyz", paths)).stdout, /"status": "ok"/);
    assert.equal((await get("/metrics", { caPath })).stdout, "");
  });
});

Deno.test("a server resumes no session of before its authorities changed", async () => {
  await withTlsServer(createEcho(), async (running) => {
    const { identity, dir, authority } = running;
    assert.match(await ask(running, "-sess_out"), /^New, TLSv1.3[^]*"ip":"a"/m);
    assert.match(await ask(running, "-sess_in"), /^Reused, [^]*"ip":"a"/m);

    const other = await TestAuthority.create(dir, "other");
    await other.issue("host");
    await Deno.copyFile(other.caPath, authority.caPath);
    await identity.reload();
    const late = await ask(running, "-sess_in");
    assert.match(late, /^Reused, /m);
    assert.doesNotMatch(late, /"ip"/);
  });
});

async function callGrpcJs(target: StellarTarget): Promise<Outcome> {
  const { stdout, stderr } = await run(Deno.execPath(), [
    ...["run", "-A", GRPC_JS, JSON.stringify(target), "AllocateIP"],
    JSON.stringify({ id: "a" }),
  ]);
  assert.notEqual(stdout, "", stderr);
  return JSON.parse(stdout);
}

/** Calls with openssl, which writes its session to a file or resumes the one that is there. */
async function ask(
  { port, dir, paths }: RunningTlsServer,
  session: "-sess_out" | "-sess_in",
): Promise<string> {
  const stdin = http1Call("AllocateIP", '{"id":"a"}', "Connection: close\r\n");
  const { stdout } = await run("openssl", [
    ...["s_client", "-connect", `127.0.0.1:${port}`, "-ign_eof"],
    ...["-cert", paths.certPath, "-key", paths.keyPath],
    ...[session, `${dir}/session.pem`],
  ], { stdin });
  return stdout;
}

/** Fingerprint of the certificate that new clients see. */
async function shownBy(running: RunningTlsServer): Promise<string> {
  const socket = await connectTls(running);
  const { fingerprint256 } = socket.getPeerCertificate();
  socket.destroy();
  await once(socket, "close");
  return fingerprint256;
}

/** Connects and does the handshake. */
async function connectTls(
  { port, identity }: RunningTlsServer,
): Promise<TLSSocket> {
  const socket = connect({ ...identity.material, host: "127.0.0.1", port });
  await once(socket, "secureConnect");
  return socket;
}
