import assert from "node:assert/strict";
import { once } from "node:events";
import { create } from "@bufbuild/protobuf";
import { Code, type ConnectRouter } from "@connectrpc/connect";
import { Network } from "../../../src/gen/stellar/services/network/v1/network_pb.ts";
import { fingerprintOf, parsePem } from "../../../src/security/pki/pem.ts";
import { authorizing } from "../../../src/api/access/authorize.ts";
import {
  callerOf,
  formatCaller,
  SERVER_FINGERPRINT,
} from "../../../src/api/access/call_context.ts";
import { Monitor } from "../../../src/api/server/monitor.ts";
import { createRpcServer } from "../../../src/api/server/server.ts";
import {
  callGrpc,
  dialTls,
  materialOf,
  openTls,
  type RunningClusterServer,
  TestCredentials,
  withClusterServer,
} from "../../support/cluster_tls.ts";
import { collectLogs } from "../../support/collect_logs.ts";
import { connectRaw } from "../../support/raw_client.ts";
import { run } from "../../support/run.ts";
import { http1Call } from "../../support/stub_network.ts";
import type { TestIdentity } from "../../security/pki/identities.ts";

const { info } = Network.method;
const INFO = create(info.input);

/** Resolve when GetSubnet has begun, and when its caller has gone. */
let slow = Promise.withResolvers<void>();
let gone = Promise.withResolvers<void>();

/** Answers with the caller and the server's certificate; GetSubnet lasts until its caller disconnects. */
function routes(bare: ConnectRouter): void {
  const router = authorizing(bare, { node: "host1", now: Date.now });
  router.service(Network, {
    info: (_, context) => ({
      id: `${formatCaller(callerOf(context))} ${
        context.values.get(SERVER_FINGERPRINT)
      }`,
    }),
    async getSubnet(_, { signal }) {
      slow.resolve();
      if (!signal.aborted) await once(signal, "abort");
      gone.resolve();
      return {};
    },
  });
}

/** Makes a call over HTTP/1.1, and resolves with what came before the end of the connection. */
async function callHttp1(
  running: RunningClusterServer,
  identity?: TestIdentity,
): Promise<string> {
  const socket = await dialTls(running, identity);
  let got = "";
  socket.setEncoding("utf8").on("data", (text: string) => got += text);
  socket.write(http1Call("Info", "{}", "Connection: close\r\n"));
  await once(socket, "close");
  return got;
}

Deno.test("a server knows the caller of each call over TLS, and the certificate that it showed", async () => {
  await withClusterServer({ routes }, async (running) => {
    const { credentials, issue } = running;
    const [der] = parsePem("CERTIFICATE", credentials.material!.cert);
    const shown = fingerprintOf(der!);
    const node = await issue({ name: "host2" });
    const answer = await callHttp1(running, node);
    assert.ok(answer.includes(`"id":"node host2 ${shown}"`), answer);

    const session = await openTls(running, node);
    assert.equal((await callGrpc(session, info, INFO)).code, 0);
    session.destroy();
  });
});

Deno.test("a server tells anonymous clients over TLS to show a certificate", async () => {
  await withClusterServer({ routes }, async (running) => {
    const answer = await callHttp1(running);
    assert.match(answer, /^HTTP\/1\.1 401 /);
    assert.match(
      answer,
      /Cannot call Info: the connection has no certificate; join with a token \(--token-file\), or show a certificate with --identity/,
    );
  });
});

Deno.test("a server names the fault to clients whose certificates are not valid", async () => {
  await withClusterServer({ routes }, async (running) => {
    const old = await running.issue({ nowMs: Date.now() - 48 * 3600_000 });
    const session = await openTls(running, old);
    const { code, message } = await callGrpc(session, info, INFO);
    assert.equal(code, Code.Unauthenticated);
    assert.match(
      message,
      /^Cannot accept the certificate of node "n1": it was valid until /,
    );
    session.destroy();
  });
});

/** What has to come of a node's connection when something has changed. */
const CHANGES: readonly (readonly [
  what: string,
  change: (credentials: TestCredentials) => void,
  logged: RegExp,
])[] = [
  [
    "is revoked",
    (credentials) =>
      credentials.change({
        trust: {
          ...credentials.trust,
          revocations: [{
            kind: "name",
            role: "node",
            name: "host2",
            issuedUpToMs: Date.now() + 1000,
            revokedAtMs: Date.now(),
            reason: "node removed",
            untilMs: Date.now() + 3600_000,
          }],
        },
      }),
    /^Disconnecting node "host2" at 127\.0\.0\.1: .*it was revoked at .*"node removed"$/,
  ],
  [
    "ends",
    // It does so by itself.
    () => {},
    /^Disconnecting node "host2" at 127\.0\.0\.1: .*it was valid until /,
  ],
];

for (const [what, change, logged] of CHANGES) {
  Deno.test(`a server cuts off whose certificate ${what} while it is connected, and nobody else`, async () => {
    const limits = { recheckIntervalMs: 50 };
    slow = Promise.withResolvers();
    gone = Promise.withResolvers();
    await withClusterServer({ routes, limits }, async (running) => {
      const { credentials, issue } = running;
      const [node, operator] = await Promise.all([
        issue({ name: "host2", lifetimeMs: 1_500 }),
        issue({ role: "operator", name: "alice" }),
      ]);
      const session = await openTls(running, node);
      const other = await openTls(running, operator);
      const idle = await dialTls(running, node);
      assert.equal((await callGrpc(session, info, INFO)).code, 0);
      idle.write(http1Call("GetSubnet"));
      await slow.promise;
      const ended = Promise.all([
        once(session, "close"),
        once(idle.resume(), "close"),
        gone.promise,
      ]);
      const logs = await collectLogs(async () => {
        change(credentials);
        await ended;
      });
      const said = logs.filter((line) => line.startsWith("Disconnecting"));
      assert.equal(said.length, 2);
      for (const line of said) assert.match(line, logged);
      assert.equal((await callGrpc(other, info, INFO)).code, 0);
      other.destroy();
    });
  });
}

Deno.test("a server ends the connection of a client that is admitted now, so that it connects again", async () => {
  await withClusterServer({ routes }, async (running) => {
    const { credentials, issue } = running;
    const { trust } = credentials;
    const node = await issue();
    credentials.change({ trust: { authorities: [], revocations: [] } });
    const session = await openTls(running, node);
    const { code } = await callGrpc(session, info, INFO);
    assert.equal(code, Code.Unauthenticated);
    const closed = once(session, "close");
    credentials.change({ trust });
    await closed;
    const next = await openTls(running, node);
    assert.equal((await callGrpc(next, info, INFO)).code, 0);
    next.destroy();
  });
});

Deno.test("a server identifies a client that resumes a session", async () => {
  await withClusterServer({ routes }, async (running) => {
    const { dir, port, credentials, issue } = running;
    const node = await issue({ name: "host2" });
    await Deno.writeTextFile(`${dir}/node.pem`, node.chain + node.key);
    const ask = async (session: "-sess_out" | "-sess_in") => {
      const { stdout } = await run("openssl", [
        ...["s_client", "-connect", `127.0.0.1:${port}`, "-ign_eof"],
        ...["-cert", `${dir}/node.pem`, "-key", `${dir}/node.pem`],
        ...[session, `${dir}/session.pem`],
      ], { stdin: http1Call("Info", "{}", "Connection: close\r\n") });
      return stdout;
    };
    assert.match(await ask("-sess_out"), /^New, TLSv1\.3[^]*"id":"node host2/m);
    assert.match(await ask("-sess_in"), /^Reused, [^]*"id":"node host2/m);
    credentials.change({
      trust: {
        ...credentials.trust,
        revocations: [{
          kind: "serial",
          serial: node.record.serial,
          revokedAtMs: Date.now(),
          reason: "it was lost",
          untilMs: Date.now() + 3600_000,
        }],
      },
    });
    assert.match(await ask("-sess_in"), /^Reused, [^]* 401 [^]*it was lost/m);
  });
});

Deno.test("a server cuts off anonymous clients after a while", async () => {
  const limits = { recheckIntervalMs: 50, maxAnonymousMs: 300 };
  await withClusterServer({ routes, limits }, async (running) => {
    const node = await openTls(running, await running.issue());
    const anonymous = await openTls(running);
    await once(anonymous, "close");
    assert.equal((await callGrpc(node, info, INFO)).code, 0);
    node.destroy();
  });
});

Deno.test("a server closes connections until it has a certificate to show", async () => {
  await withClusterServer({ routes }, async (running) => {
    const { credentials, authority, issue } = running;
    const waiting = new TestCredentials(credentials.trust);
    const server = createRpcServer({ routes, tls: waiting });
    try {
      const at = { hostname: "127.0.0.1", port: 0 };
      const { port } = await server.listenTcp(at, { isSecure: true });
      const early = await connectRaw({ hostname: "127.0.0.1", port });
      assert.equal(await early.closed, "");

      const material = materialOf(await issue({ name: "host9" }), authority);
      waiting.change({ material });
      const node = await issue();
      const session = await openTls({ port, authority }, node);
      assert.equal((await callGrpc(session, info, INFO)).code, 0);
      session.destroy();
    } finally {
      await server.close({ graceMs: 0 });
    }
  });
});

Deno.test("a server answers health checks with a certificate, and refuses others with the reason", async () => {
  const monitor = new Monitor({
    metrics: () => Promise.resolve({ text: "a 1\n", contentType: "text/x" }),
    live: () => Promise.resolve([]),
    ready: () => Promise.resolve([]),
  });
  await withClusterServer({ routes, monitor }, async (running) => {
    const { issue } = running;
    const old = await issue({ nowMs: Date.now() - 48 * 3600_000 });
    const rows: readonly [
      what: string,
      identity: TestIdentity | undefined,
      got: RegExp,
    ][] = [
      ["a node", await issue(), /^HTTP\/1\.1 200 [^]*a 1\n/],
      [
        "an anonymous caller",
        undefined,
        /^HTTP\/1\.1 401 [^]*This takes a certificate of the cluster/,
      ],
      [
        "one whose certificate has ended",
        old,
        /^HTTP\/1\.1 403 [^]*it was valid until/,
      ],
    ];
    for (const [what, identity, expected] of rows) {
      for (const path of ["/metrics", "/healthz", "/readyz"]) {
        const socket = await dialTls(running, identity);
        let got = "";
        socket.setEncoding("utf8").on("data", (text: string) => got += text);
        socket.write(
          `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`,
        );
        await once(socket, "close");
        const pattern = what === "a node" && path !== "/metrics"
          ? /^HTTP\/1\.1 200 /
          : expected;
        assert.match(got, pattern, `${path} to ${what}`);
      }
    }
  });
});
