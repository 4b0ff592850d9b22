import fc from "fast-check";
import assert from "node:assert/strict";
import { publicPart } from "../../../src/security/pki/generations.ts";
import { readIdentity } from "../../../src/security/pki/certificate_identity.ts";
import {
  checkIdentity,
  type PeerChecks,
  verifyPeer,
} from "../../../src/security/pki/peer.ts";
import type { RevocationRecord } from "../../../src/security/pki/revocation.ts";
import {
  createIdentity,
  createTestAuthority,
  HOUR_MS,
  NOW_MS,
} from "./identities.ts";
import { selfSigned } from "./openssl.ts";

const REVOKED: RevocationRecord = {
  kind: "name",
  role: "node",
  name: "n1",
  issuedUpToMs: NOW_MS,
  revokedAtMs: NOW_MS,
  reason: "node removed",
  untilMs: NOW_MS + 24 * HOUR_MS,
};

Deno.test("verifyPeer() accepts a certificate, or says why not", async (t) => {
  const authority = createTestAuthority();
  const next = createTestAuthority({ generation: 2 });
  const impostor = createTestAuthority();
  const elsewhere = createTestAuthority({ clusterId: "c2" });
  const [node, operator, byNext, byImpostor, byElsewhere] = await Promise.all([
    createIdentity(authority),
    createIdentity(authority, { role: "operator", name: "alice" }),
    createIdentity(next),
    createIdentity(impostor),
    createIdentity(elsewhere),
  ]);
  const usual: PeerChecks = {
    trust: [publicPart(authority.record)],
    clusterId: "c1",
    usage: "client",
    nowMs: NOW_MS,
    revocations: [],
  };
  const both = [...usual.trust, publicPart(next.record)];
  const bySerial: RevocationRecord = {
    kind: "serial",
    serial: node!.record.serial,
    revokedAtMs: NOW_MS,
    reason: "",
    untilMs: NOW_MS + HOUR_MS,
  };
  const rows: readonly [
    name: string,
    der: Uint8Array,
    checks: Partial<PeerChecks>,
    message: RegExp | undefined,
  ][] = [
    ["a node as client", node!.der, {}, undefined],
    ["a node as server", node!.der, { usage: "server" }, undefined],
    ["an operator", operator!.der, {}, undefined],
    [
      "an operator as server",
      operator!.der,
      { usage: "server" },
      /not for a TLS server/,
    ],
    ["by the next generation", byNext!.der, { trust: both }, undefined],
    [
      "by one not known yet",
      byNext!.der,
      {},
      /authority 2, .* is not trusted now/,
    ],
    ["by one trusted no more", node!.der, {
      trust: [{ ...both[0]!, trustedUntilMs: NOW_MS }, both[1]!],
    }, /authority 1, .* is not trusted now/],
    [
      "by an impostor",
      byImpostor!.der,
      {},
      /authority 1 of this cluster has not signed it/,
    ],
    [
      "another cluster's",
      byElsewhere!.der,
      {},
      /of cluster "c2", and this is "c1"/,
    ],
    [
      "a moment before its end",
      node!.der,
      { nowMs: NOW_MS + 24 * HOUR_MS - 1 },
      undefined,
    ],
    [
      "at its end",
      node!.der,
      { nowMs: NOW_MS + 24 * HOUR_MS },
      /valid until 2026-01-02T00:00:00.000Z/,
    ],
    ["by a clock that is a little late", node!.der, {
      nowMs: NOW_MS - 4 * 60_000,
    }, undefined],
    [
      "by a clock that is far late",
      node!.der,
      { nowMs: NOW_MS - HOUR_MS },
      /valid from .* compare the clocks/,
    ],
    [
      "revoked by name",
      node!.der,
      { revocations: [REVOKED] },
      /revoked at .*, "node removed"/,
    ],
    [
      "revoked by serial",
      node!.der,
      { revocations: [bySerial] },
      /revoked at 2026-01-01T00:00:00.000Z$/,
    ],
    [
      "another is revoked",
      operator!.der,
      { revocations: [REVOKED, bySerial] },
      undefined,
    ],
  ];
  for (const [name, der, checks, message] of rows) {
    await t.step(name, () => {
      const verify = () => verifyPeer(der, { ...usual, ...checks });
      if (message === undefined) {
        assert.deepEqual(verify(), readIdentity(der));
      } else {
        assert.throws(verify, {
          name: "NetError",
          code: "unauthenticated",
          message,
        });
      }
    });
  }
});

Deno.test("verifyPeer() takes no certificate of an operator's own authority for one of ours", async () => {
  const authority = createTestAuthority();
  const pem = await selfSigned(
    "subjectAltName=URI:stellar-net://c1/node/n1",
    "extendedKeyUsage=clientAuth",
    "basicConstraints=critical,CA:FALSE",
  );
  assert.throws(
    () =>
      verifyPeer(pem, {
        trust: [publicPart(authority.record)],
        clusterId: "c1",
        usage: "client",
        nowMs: readIdentity(pem).notBeforeMs,
        revocations: [],
      }),
    {
      code: "unauthenticated",
      message: /authority 0, which it names, is not trusted now/,
    },
  );
});

Deno.test("verifyPeer() accepts no certificate of which a byte was changed", () => {
  const authority = createTestAuthority();
  const { der } = createIdentity(authority);
  const checks: PeerChecks = {
    trust: [publicPart(authority.record)],
    clusterId: "c1",
    usage: "client",
    nowMs: NOW_MS,
    revocations: [],
  };
  assert.equal(verifyPeer(der, checks).name, "n1");
  fc.assert(
    fc.property(
      fc.nat(der.length - 1),
      fc.integer({ min: 1, max: 255 }),
      (at, flip) => {
        const mutated = new Uint8Array(der);
        mutated[at]! ^= flip;
        assert.throws(() => verifyPeer(mutated, checks), {
          name: "NetError",
          code: "unauthenticated",
        });
      },
    ),
    { numRuns: 300, seed: 9 },
  );
});

Deno.test("checkIdentity() sees a certificate end while its connection lasts", async () => {
  const { der } = createIdentity(await createTestAuthority());
  const identity = readIdentity(der);
  const usual = { clusterId: "c1", nowMs: NOW_MS, revocations: [] };
  checkIdentity(identity, usual);
  assert.throws(
    () => checkIdentity(identity, { ...usual, nowMs: identity.notAfterMs }),
    { message: /node "n1": it was valid until/ },
  );
  assert.throws(
    () => checkIdentity(identity, { ...usual, revocations: [REVOKED] }),
    { message: /node "n1": it was revoked/ },
  );
});
