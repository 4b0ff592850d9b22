import assert from "node:assert/strict";
import { verifyFirstContact } from "../../../src/security/pki/peer.ts";
import {
  formatTrust,
  publicPart,
} from "../../../src/security/pki/generations.ts";
import { readIdentity } from "../../../src/security/pki/certificate_identity.ts";
import { verifyPeer } from "../../../src/security/pki/peer.ts";
import {
  createIdentity,
  createTestAuthority,
  HOUR_MS,
  type TestIdentity,
} from "./identities.ts";
import { shakeHands } from "./tls_peers.ts";

/** TLS looks at the real time. */
const nowMs = Date.now();
const [first, second, foreign] = await Promise.all([
  createTestAuthority({ nowMs }),
  createTestAuthority({ nowMs, generation: 2 }),
  createTestAuthority({ nowMs }),
]);
const trust = formatTrust([first.record, second.record], nowMs);
const [server, client, operator, bySecond, byForeign, ended, elsewhere] =
  await Promise.all([
    createIdentity(first, { nowMs }),
    createIdentity(first, { nowMs, name: "n2" }),
    createIdentity(first, { nowMs, name: "alice", role: "operator" }),
    createIdentity(second, { nowMs, name: "n3" }),
    createIdentity(foreign, { nowMs }),
    createIdentity(first, { nowMs: nowMs - 2 * HOUR_MS, lifetimeMs: HOUR_MS }),
    createIdentity(first, { nowMs, addresses: [] }),
  ]);

/** Options of node:tls with a certificate. */
function credentials({ chain, key }: TestIdentity) {
  return { cert: chain, key };
}

Deno.test("node:tls shakes hands over TLS 1.3 with certificates of every generation and role", async (t) => {
  const rows: readonly [server: TestIdentity, client: TestIdentity][] = [
    [server, client],
    [server, operator],
    [server, bySecond],
    [bySecond, client],
    [bySecond, bySecond],
  ];
  for (const [at, from] of rows) {
    await t.step(`${from.record.name} to ${at.record.name}`, async () => {
      const {
        clientError,
        protocol,
        clientCertificate,
        serverChain,
        received,
      } = await shakeHands({
        ...credentials(at),
        ca: trust,
        requestCert: true,
        rejectUnauthorized: true,
      }, { ...credentials(from), ca: trust });
      assert.equal(clientError, undefined);
      assert.equal(protocol, "TLSv1.3");
      assert.equal(received, 5);
      const checks = {
        trust: [first.record, second.record].map(publicPart),
        clusterId: "c1",
        nowMs,
        revocations: [],
      };
      assert.deepEqual(
        verifyPeer(clientCertificate!, { ...checks, usage: "client" }),
        readIdentity(from.der),
      );
      assert.deepEqual(
        verifyPeer(serverChain[0]!, { ...checks, usage: "server" }),
        readIdentity(at.der),
      );
    });
  }
});

Deno.test("node:tls refuses clients that do not belong", async (t) => {
  const rows: readonly [name: string, options: object, error: string][] = [
    ["without a certificate", {}, "ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE"],
    [
      "of a foreign authority of the same name",
      credentials(byForeign),
      "ECONNRESET",
    ],
    ["whose certificate has ended", credentials(ended), "ECONNRESET"],
  ];
  for (const [name, options, error] of rows) {
    await t.step(name, async () => {
      const { serverError, clientCertificate, received } = await shakeHands({
        ...credentials(server),
        ca: trust,
        requestCert: true,
        rejectUnauthorized: true,
      }, { ca: trust, ...options });
      assert.deepEqual(
        [serverError, clientCertificate, received],
        [error, undefined, 0],
      );
    });
  }
});

Deno.test("verifyPeer() says why, where the server lets TLS go on to tell the client", async (t) => {
  const rows: readonly [
    name: string,
    client: TestIdentity,
    message: RegExp,
  ][] = [
    ["a foreign authority", byForeign, /of this cluster has not signed it/],
    ["an ended certificate", ended, /it was valid until/],
  ];
  for (const [name, from, message] of rows) {
    await t.step(name, async () => {
      const { clientError, clientCertificate } = await shakeHands({
        ...credentials(server),
        ca: trust,
        requestCert: true,
        rejectUnauthorized: false,
      }, { ca: trust, ...credentials(from) });
      assert.equal(clientError, undefined);
      assert.throws(
        () =>
          verifyPeer(clientCertificate!, {
            trust: [publicPart(first.record)],
            clusterId: "c1",
            usage: "client",
            nowMs,
            revocations: [],
          }),
        { code: "unauthenticated", message },
      );
    });
  }
});

Deno.test("node:tls refuses servers that do not belong, and sends them nothing", async (t) => {
  const rows: readonly [
    name: string,
    server: TestIdentity,
    options: object,
  ][] = [
    ["of a foreign authority of the same name", byForeign, {}],
    ["an operator as a server", operator, {}],
    ["whose certificate has ended", ended, {}],
    ["at another address", elsewhere, {}],
    ["with another name", server, { servername: "n2" }],
    ["once its authority is not trusted any more", server, {
      ca: second.record.certificate,
    }],
  ];
  for (const [name, at, options] of rows) {
    await t.step(name, async () => {
      const { clientError, received } = await shakeHands(
        credentials(at),
        { ca: trust, ...options },
      );
      assert.notEqual(clientError, undefined);
      assert.equal(received, 0);
    });
  }
});

Deno.test("verifyFirstContact() finds the authority in a server's certificates before it sends anything", async (t) => {
  const { fingerprint } = first.record;
  const withoutRoot = server.chain.replace(first.record.certificate, "");
  const rows: readonly [
    name: string,
    options: { readonly cert: string; readonly key: string },
    message: RegExp | undefined,
  ][] = [
    ["the cluster's server", credentials(server), undefined],
    [
      "a foreign one",
      credentials(byForeign),
      /none of its certificates is that/,
    ],
    [
      "the next generation's",
      credentials(bySecond),
      /none of its certificates/,
    ],
    ["an operator", credentials(operator), /has role operator, not node/],
    ["one that has ended", credentials(ended), /it was valid until/],
    ["one that keeps its authority back", {
      cert: withoutRoot,
      key: server.key,
    }, /none of its certificates is that/],
    ["a foreign one that shows the authority", {
      cert: byForeign.chain.replace(
        foreign.record.certificate,
        first.record.certificate,
      ),
      key: byForeign.key,
    }, /the token's authority has not signed its certificate/],
  ];
  for (const [name, options, message] of rows) {
    await t.step(name, async () => {
      const { clientError, serverChain, received } = await shakeHands(
        options,
        { rejectUnauthorized: false, isQuiet: true },
      );
      assert.deepEqual([clientError, received], [undefined, 0]);
      const check = () =>
        verifyFirstContact(serverChain, { fingerprint, nowMs });
      if (message === undefined) {
        assert.deepEqual(check(), {
          server: readIdentity(server.der),
          authority: first.record.certificate,
        });
      } else {
        assert.throws(check, {
          name: "NetError",
          code: "unauthenticated",
          message,
        });
      }
    });
  }
});
