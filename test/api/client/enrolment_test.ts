import assert from "node:assert/strict";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { createServer } from "node:tls";
import type { RegistryHost } from "../../../src/registry/host.ts";
import { sleep } from "../../../src/base/retry.ts";
import { IdentityService } from "../../../src/gen/stellar/net/v1/identity_pb.ts";
import type { EnrolmentRequest } from "../../../src/security/certificate_source.ts";
import { IdentityRegistry } from "../../../src/security/identity_registry.ts";
import { formatTrustFile } from "../../../src/security/identity_state.ts";
import { NodeIdentity } from "../../../src/security/node_identity.ts";
import { parseAddress } from "../../../src/net/address.ts";
import { createKey } from "../../../src/security/pki/key.ts";
import { readIdentity } from "../../../src/security/pki/certificate_identity.ts";
import { parsePem } from "../../../src/security/pki/pem.ts";
import { createSigningRequest } from "../../../src/security/pki/signing_request.ts";
import {
  createToken,
  type JoinToken,
  parseToken,
} from "../../../src/security/pki/token.ts";
import { createRpcTransport } from "../../../src/api/client/client.ts";
import { enrol, renew } from "../../../src/api/client/enrolment.ts";
import { createIdentity } from "../../../src/api/services/identity.ts";
import { createRpcServer } from "../../../src/api/server/server.ts";
import { openDenoKv } from "../../../src/store/deno_kv/deno_kv.ts";
import { MemoryIdentityFiles } from "../../security/memory_identity_files.ts";
import { freePort } from "../../support/free_port.ts";
import { waitFor } from "../../support/wait_for.ts";

/** An agent that hosts a cluster's registry, as far as identities go. */
interface Cluster {
  readonly registry: IdentityRegistry;
  readonly own: NodeIdentity;
  readonly port: number;
  /** "https://127.0.0.1:PORT". */
  readonly url: string;
}

async function withCluster(
  use: (cluster: Cluster) => Promise<void>,
  clusterId = "c1",
): Promise<void> {
  await using opened = new AsyncDisposableStack();
  const store = await openDenoKv({ path: ":memory:" });
  opened.defer(() => store.close());
  const registry = await IdentityRegistry.open({
    ...{ store, clusterId, now: Date.now },
    nodes: {
      view: () =>
        Promise.resolve({
          has: () => false,
          alike: () => undefined,
          reachedAt: () => undefined,
          subnetOwner: () => undefined,
        }),
    },
  });
  const own = await NodeIdentity.open({
    node: "host1",
    files: new MemoryIdentityFiles(),
    source: { kind: "own", sign: (order) => registry.signOwn(order) },
    now: Date.now,
    random: () => 0.5,
    wait: sleep,
  });
  own.setAddresses([parseAddress("127.0.0.1")]);
  own.start();
  opened.defer(() => own.stop());
  await waitFor("its certificate", () => own.material !== undefined);
  const host = { requireAuthority: () => registry } as Partial<RegistryHost>;
  const server = createRpcServer({
    routes: (router) =>
      router.service(
        IdentityService,
        createIdentity(() => host as RegistryHost),
      ),
    tls: own,
  });
  opened.defer(() => server.close({ graceMs: 0 }));
  const at = { hostname: "127.0.0.1", port: 0 };
  const { port } = await server.listenTcp(at, { isSecure: true });
  await use({ registry, own, port, url: `https://127.0.0.1:${port}` });
}

async function tokenOf({ registry }: Cluster): Promise<JoinToken> {
  const terms = { role: "node", name: "", lifetimeMs: 3_600_000, maxUses: 1 };
  const { secret } = await registry.createToken(terms as never);
  return parseToken(secret);
}

function orderOf(
  token: JoinToken,
  key?: string,
): EnrolmentRequest {
  return {
    token,
    name: "host2",
    roles: ["node"],
    addresses: [parseAddress("198.18.0.2")],
    signingRequest: createSigningRequest(key ?? createKey()),
  };
}

function join(url: string, order: EnrolmentRequest, signal?: AbortSignal) {
  return enrol(url, order, signal ?? AbortSignal.timeout(60_000));
}

Deno.test("enrol() gets a certificate with a token, and renew() the next with that", () =>
  withCluster(async (cluster) => {
    const { url, registry } = cluster;
    const key = createKey();
    const order = await orderOf(await tokenOf(cluster), key);
    const { chain, trust } = await join(url, order);
    const [own] = parsePem("CERTIFICATE", chain);
    const { role, name, clusterId } = readIdentity(own!);
    assert.deepEqual([role, name, clusterId], ["node", "host2", "c1"]);
    assert.deepEqual(trust, await registry.trust());
    const files = new MemoryIdentityFiles();
    await files.write("key.pem", key);
    await files.write("chain.pem", chain);
    await files.write(
      "trust.json",
      formatTrustFile({ tokenId: order.token.id, trust }),
    );
    const identity = await NodeIdentity.open({
      node: "host2",
      files,
      source: {
        kind: "others",
        issuers: [],
        readToken: () => Promise.resolve(undefined),
      },
      now: Date.now,
      random: () => 0.5,
      wait: sleep,
    });
    const transport = createRpcTransport({ url }, { tls: identity });
    const signal = AbortSignal.timeout(60_000);
    const next = await renew(transport, order, signal);
    const [renewed] = parsePem("CERTIFICATE", next.chain);
    assert.equal(readIdentity(renewed!).name, "host2");
    assert.notDeepEqual(renewed, own);

    await registry.revoke({ role: "node", name: "host2" }, "gone");
    await assert.rejects(renew(transport, order, signal), {
      name: "NetError",
      message: /its certificate is not accepted any more$/,
    });
  }));

Deno.test("enrol() learns that its token admits nobody", async (t) => {
  await withCluster(async (cluster) => {
    const used = await tokenOf(cluster);
    await join(cluster.url, await orderOf(used));
    const revoked = await tokenOf(cluster);
    await cluster.registry.revokeToken(revoked.id);
    const wrong = {
      ...await tokenOf(cluster),
      secret: createToken(used.fingerprint).secret,
    };
    const unknown = createToken(used.fingerprint);
    const rows: readonly [what: string, token: JoinToken, code: string][] = [
      ["used", used, "permission_denied"],
      ["revoked", revoked, "permission_denied"],
      ["another secret", wrong, "unauthenticated"],
      ["unknown", unknown, "unauthenticated"],
    ];
    for (const [what, token, code] of rows) {
      await t.step(what, async () => {
        const order = await orderOf(token);
        await assert.rejects(join(cluster.url, order), {
          name: "NetError",
          code,
        });
      });
    }
  });
});

Deno.test("enrol() sends nothing to an agent outside the token's cluster", async () => {
  await withCluster(async (other) => {
    await withCluster(async (cluster) => {
      const order = await orderOf(await tokenOf(cluster));
      let received = 0;
      let connections = 0;
      const { cert, key } = other.own.material!;
      const server = createServer(
        { cert, key, requestCert: true, rejectUnauthorized: false },
        (socket) => {
          connections++;
          assert.deepEqual(socket.getPeerCertificate(), {});
          socket.on("error", () => {});
          socket.on("data", ({ length }) => received += length);
        },
      );
      await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
      const { port } = server.address() as AddressInfo;
      await assert.rejects(join(`https://127.0.0.1:${port}`, order), {
        name: "NetError",
        code: "unauthenticated",
        message:
          /^Cannot trust the server: none of its certificates is that of the token's authority, sha256:\w{64}: another host answers there/,
      });
      await new Promise((done) => server.close(done));
      assert.deepEqual([connections, received], [1, 0]);
      await assert.rejects(join(other.url, order), { code: "unauthenticated" });
    });
  }, "c2");
});

Deno.test("enrol() says why it does not reach an agent", async (t) => {
  await withCluster(async (cluster) => {
    const order = await orderOf(await tokenOf(cluster));
    const plain = createTcpServer((socket) => {
      socket.on("error", () => {});
      socket.resume();
      socket.end("HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    await new Promise<void>((done) => plain.listen(0, "127.0.0.1", done));
    const { port } = plain.address() as AddressInfo;
    const rows: readonly [what: string, url: string, says: RegExp][] = [
      [
        "nothing",
        `https://127.0.0.1:${freePort()}`,
        /: nothing listens there$/,
      ],
      ["plain text", `https://127.0.0.1:${port}`, /: it does not speak TLS: /],
      [
        "another name",
        `https://localhost:${cluster.port}`,
        /: its certificate is for .*127\.0\.0\.1.*, not for "localhost": /,
      ],
    ];
    for (const [what, url, says] of rows) {
      await t.step(what, () =>
        assert.rejects(join(url, order), {
          name: "NetError",
          code: "unavailable",
          message: says,
        }));
    }
    await new Promise((done) => plain.close(done));
    await t.step(
      "given up",
      () =>
        assert.rejects(join(cluster.url, order, AbortSignal.abort()), {
          code: "unavailable",
        }),
    );
  });
});
