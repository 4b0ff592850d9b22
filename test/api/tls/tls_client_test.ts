import assert from "node:assert/strict";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { createClient } from "@connectrpc/connect";
import type { TlsPaths } from "../../../src/config/config.ts";
import {
  Health,
  HealthCheckResponse_ServingStatus,
} from "../../../src/gen/grpc/health/v1/health_pb.ts";
import { Network } from "../../../src/gen/stellar/services/network/v1/network_pb.ts";
import { createRpcTransport } from "../../../src/api/client/client.ts";
import { createRpcServer } from "../../../src/api/server/server.ts";
import { GivenCertificate } from "../../../src/api/tls/given_certificate.ts";
import { freePort } from "../../support/free_port.ts";
import { withRpcServer } from "../../support/rpc_server.ts";
import { createStubNetwork } from "../../support/stub_network.ts";
import { withTempDir } from "../../support/temp_dir.ts";
import { TestAuthority } from "../../support/test_authority.ts";
import { withTlsServer } from "../../support/tls_server.ts";

const { SERVING } = HealthCheckResponse_ServingStatus;
const { routes } = createStubNetwork();

/** Calls an agent, with certificates if there are any. */
async function info(url: string, paths?: TlsPaths): Promise<string> {
  const tls = paths && await GivenCertificate.open(paths);
  const transport = createRpcTransport({ url }, { tls, timeoutMs: 60_000 });
  return (await createClient(Network, transport).info({})).id;
}

/** A trust without authorities that revokes a node. */
function revocationOf(name: string) {
  const nowMs = Date.now();
  const times = { revokedAtMs: nowMs, issuedUpToMs: nowMs, untilMs: nowMs };
  return {
    authorities: [],
    revocations: [
      { kind: "name", role: "node", name, reason: "", ...times },
    ],
  } as const;
}

/** Serves with certificates for a function. */
async function serve(
  paths: TlsPaths,
  use: (url: string) => Promise<void>,
): Promise<void> {
  const tls = await GivenCertificate.open(paths);
  const server = createRpcServer({ routes, tls });
  try {
    const at = { hostname: "127.0.0.1", port: 0 };
    const { port } = await server.listenTcp(at, { isSecure: true });
    await use(`https://127.0.0.1:${port}`);
  } finally {
    await server.close({ graceMs: 0 });
  }
}

Deno.test("createRpcTransport() calls over TLS, by address and by name", () =>
  withTlsServer({ routes }, async ({ url, port, paths }) => {
    assert.equal(await info(url, paths), "stellar.services.network.v1");
    const byName = `https://localhost:${port}`;
    assert.equal(await info(byName, paths), "stellar.services.network.v1");
  }));

Deno.test("createRpcTransport() says which certificate of a server is wrong, and how", async (t) => {
  await withTempDir(async (dir) => {
    const authority = await TestAuthority.create(dir);
    const other = await TestAuthority.create(dir, "other");
    const client = await authority.issue("client");
    const rows: readonly [what: string, server: TlsPaths, says: RegExp][] = [
      [
        "expired",
        await authority.issue("expired", { days: -1 }),
        /its certificate is not accepted: it was valid until \S+Z: replace it$/,
      ],
      [
        "foreign",
        { ...await other.issue("foreign"), caPath: client.caPath },
        /: "CN=other", which has signed it, is no authority in --tls-ca$/,
      ],
      [
        "self-signed",
        await authority.issue("self", { isSelfSigned: true }),
        /: it is signed by itself, not by an authority in --tls-ca$/,
      ],
      [
        "for clients alone",
        await authority.issue("user", { usage: "clientAuth" }),
        /: it is not one for servers \(extendedKeyUsage\)$/,
      ],
      [
        "another name",
        await authority.issue("far", { names: "IP:198.18.0.1,DNS:far" }),
        /its certificate is for IP Address:198.18.0.1, DNS:far, not for "127.0.0.1": /,
      ],
    ];
    for (const [what, paths, says] of rows) {
      await t.step(
        what,
        () =>
          serve(paths, (url) =>
            assert.rejects(info(url, client), {
              name: "NetError",
              code: "unavailable",
              message: says,
            })),
      );
    }
  });
});

Deno.test("createRpcTransport() says when its own certificate is not accepted, and why", async (t) => {
  await withTlsServer({ routes }, async ({ url, authority, dir, paths }) => {
    const other = await TestAuthority.create(dir, "other");
    const rows: readonly [what: string, own: TlsPaths, says: RegExp][] = [
      [
        "expired",
        await authority.issue("expired", { days: -1 }),
        /this agent's certificate ".*expired.pem": it was valid until \S+Z: replace it$/,
      ],
      [
        "foreign",
        { ...await other.issue("foreign"), caPath: paths.caPath },
        /"CN=other", which has signed it, is no authority in --tls-ca$/,
      ],
      [
        "for servers alone",
        await authority.issue("server", { usage: "serverAuth" }),
        /: check its log, its trusted authorities and its clock$/,
      ],
    ];
    for (const [what, own, says] of rows) {
      await t.step(what, () =>
        assert.rejects(info(url, own), {
          name: "NetError",
          code: "unavailable",
          message: says,
        }));
    }
    await t.step("none", () =>
      assert.rejects(info(url), {
        code: "unavailable",
        message:
          /asks for a certificate, and this agent speaks plain text: .*--insecure/,
      }));
  });
});

Deno.test("createRpcTransport() says when a server speaks something else", async (t) => {
  await withTlsServer({ routes }, async ({ paths, port }) => {
    await t.step(
      "http to TLS",
      () =>
        assert.rejects(info(`http://127.0.0.1:${port}`, paths), {
          code: "unavailable",
          message:
            /: it does not speak HTTP: where it speaks TLS, write "https:/,
        }),
    );
    await t.step(
      "https to plain text",
      () =>
        withRpcServer(
          { routes },
          ({ authority }) =>
            assert.rejects(info(`https://${authority}`, paths), {
              code: "unavailable",
              message: /: it does not speak TLS: start it without --insecure/,
            }),
        ),
    );
    await t.step(
      "nothing",
      () =>
        assert.rejects(info(`https://127.0.0.1:${freePort()}`, paths), {
          code: "unavailable",
          message: /: nothing listens there$/,
        }),
    );
    await t.step("a client that disconnects", async () => {
      const server = createServer((socket) => socket.destroy());
      const { promise, resolve } = Promise.withResolvers<void>();
      server.listen(0, "127.0.0.1", resolve);
      await promise;
      const { port } = server.address() as { readonly port: number };
      await assert.rejects(info(`https://127.0.0.1:${port}`, paths), {
        name: "NetError",
        code: "unavailable",
      });
      await new Promise((resolve) => server.close(resolve));
    });
  });
});

Deno.test("createRpcTransport() calls no server that TLS trusts, and that is none of the cluster's", async (t) => {
  await withTempDir(async (dir) => {
    const authority = await TestAuthority.create(dir);
    const client = await authority.issue("client");
    const rows: readonly [subject: string, says: RegExp][] = [
      [
        "/CN=host",
        /its certificate is not accepted: .* names no role; give it/,
      ],
      ["/OU=operator/CN=eve", /: Cannot accept operator "eve" as an agent: /],
    ];
    for (const [subject, says] of rows) {
      await t.step(subject, async () => {
        const paths = await authority.issue("server", { subject });
        await serve(paths, (url) =>
          assert.rejects(info(url, client), {
            name: "NetError",
            code: "unavailable",
            message: says,
          }));
      });
    }
  });
});

Deno.test("createRpcTransport() ends connections to a revoked server, also those being opened", () =>
  withTlsServer({ routes }, async ({ url, paths }) => {
    const tls = await GivenCertificate.open(paths);
    const transport = createRpcTransport({ url }, { tls, timeoutMs: 60_000 });
    const client = createClient(Health, transport);
    const watch = client.watch({})[Symbol.asyncIterator]();
    assert.equal((await watch.next()).value?.status, SERVING);
    const next = watch.next();
    tls.takeTrust(revocationOf("host"));
    await assert.rejects(next, { code: "unavailable" });
    await assert.rejects(client.check({}), {
      code: "unavailable",
      message: /its certificate is not accepted: .* it was revoked at \S+$/,
    });
  }));

Deno.test("createRpcTransport() uses no connection again that was being opened while its certificates changed", () =>
  withTlsServer({ routes }, async ({ port, paths }) => {
    const tls = await GivenCertificate.open(paths);
    let opened = 0;
    const sockets: Socket[] = [];
    const between = createServer((socket) => {
      // The client has not said its first word yet.
      if (opened++ === 0) tls.takeTrust(revocationOf("other"));
      const onward = connect(port, "127.0.0.1");
      sockets.push(socket, onward);
      for (const end of [socket, onward]) end.on("error", () => {});
      socket.pipe(onward).pipe(socket);
    });
    await new Promise<void>((resolve) =>
      between.listen(0, "127.0.0.1", resolve)
    );
    try {
      const url = `https://127.0.0.1:${
        (between.address() as AddressInfo).port
      }`;
      const transport = createRpcTransport({ url }, { tls, timeoutMs: 60_000 });
      const client = createClient(Network, transport);
      for (const connections of [1, 2, 2]) {
        await client.info({});
        assert.equal(opened, connections);
      }
    } finally {
      for (const socket of sockets) socket.destroy();
      between.close();
    }
  }));

Deno.test("createRpcTransport() speaks plain text with other hosts only if it may", async () => {
  const transport = createRpcTransport(
    { url: "http://198.18.255.254:9000" },
    { allowsPlainText: false },
  );
  await assert.rejects(createClient(Network, transport).info({}), {
    name: "NetError",
    code: "unavailable",
    message:
      /198.18.255.254:9000": it speaks plain text, and this agent speaks TLS/,
  });
  await withRpcServer({ routes }, async ({ authority }) => {
    const here = createRpcTransport(
      { url: `http://${authority}` },
      { allowsPlainText: false },
    );
    const { id } = await createClient(Network, here).info({});
    assert.equal(id, "stellar.services.network.v1");
  });
});

Deno.test("createRpcTransport() shows a new certificate on its next connection", () =>
  withTlsServer({ routes }, async ({ url, authority, identity, dir }) => {
    const own = await authority.issue("own", { days: -1 });
    const tls = await GivenCertificate.open(own);
    const client = createClient(
      Network,
      createRpcTransport({ url }, { tls, timeoutMs: 60_000 }),
    );
    await assert.rejects(client.info({}), { code: "unavailable" });
    await authority.issue("own");
    await tls.reload();
    assert.equal((await client.info({})).id, "stellar.services.network.v1");
    assert.equal(identity.paths.certPath, `${dir}/host.pem`);
  }));
