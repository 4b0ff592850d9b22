import assert from "node:assert/strict";
import {
  createAuthority,
  openAuthority,
} from "../../../src/security/pki/authority.ts";
import { publicPart } from "../../../src/security/pki/generations.ts";
import { AUTHORITY_LIFETIME_MS } from "../../../src/security/pki/profile.ts";
import { readAuthorityRecord } from "../../../src/security/pki/records.ts";
import { createTestAuthority, NOW_MS } from "./identities.ts";
import { openssl } from "./openssl.ts";

Deno.test("createAuthority() makes a certificate that openssl takes for an authority", async () => {
  const { record } = createTestAuthority({ generation: 3 });
  const text = await openssl("openssl x509 -in ca.pem -noout -text", {
    "ca.pem": record.certificate,
  });
  for (
    const part of [
      "Version: 3",
      "Subject: O = stellar-net, OU = c1, CN = authority 3",
      "Issuer: O = stellar-net, OU = c1, CN = authority 3",
      "Not Before: Dec 31 23:55:00 2025 GMT",
      "Not After : Jan  1 00:00:00 2036 GMT",
      "NIST CURVE: P-256",
      "Signature Algorithm: ecdsa-with-SHA256",
      "X509v3 Basic Constraints: critical\n                CA:TRUE, pathlen:0",
      "X509v3 Key Usage: critical\n                Certificate Sign, CRL Sign",
      "X509v3 Subject Key Identifier",
      "X509v3 Authority Key Identifier",
    ]
  ) {
    assert.ok(text.includes(part), `${part} is not in ${text}`);
  }
});

Deno.test("createAuthority() has the fingerprint that openssl prints", async () => {
  const { record } = createTestAuthority();
  const printed = await openssl(
    "openssl x509 -in ca.pem -pubkey -noout | openssl pkey -pubin -outform DER | sha256sum",
    { "ca.pem": record.certificate },
  );
  assert.equal(record.fingerprint, `sha256:${printed.split(" ")[0]}`);
});

Deno.test("createAuthority() writes times from 2050 on as RFC 5280 wants them", async () => {
  const { record } = createTestAuthority({
    lifetimeMs: 3 * AUTHORITY_LIFETIME_MS,
  });
  const parsed = await openssl(
    "openssl asn1parse -in ca.pem; openssl verify -x509_strict -CAfile ca.pem ca.pem",
    { "ca.pem": record.certificate },
  );
  assert.match(parsed, /UTCTIME +:251231235500Z/);
  assert.match(parsed, /GENERALIZEDTIME +:20551231000000Z/);
  assert.match(parsed, /ca.pem: OK/);
});

Deno.test("createAuthority() makes another key and serial each time", async () => {
  const [a, b] = await Promise.all([
    createTestAuthority(),
    createTestAuthority(),
  ]);
  assert.notEqual(a.record.fingerprint, b.record.fingerprint);
  assert.notEqual(a.record.certificate, b.record.certificate);
});

Deno.test("createAuthority() refuses bad names", async (t) => {
  const rows: readonly [options: object, message: RegExp][] = [
    [{ clusterId: "" }, /"" is not valid/],
    [{ clusterId: "c1/x" }, /"c1\/x" is not valid/],
    [{ generation: 0 }, /0 is not a generation/],
    [{ generation: 1.5 }, /1.5 is not a generation/],
  ];
  for (const [options, message] of rows) {
    await t.step(JSON.stringify(options), () => {
      assert.throws(
        () => createAuthority({ clusterId: "c1", nowMs: NOW_MS, ...options }),
        { name: "RangeError", message },
      );
    });
  }
});

Deno.test("openAuthority() opens what went through the store, and its key stays inside", () => {
  const { record } = createTestAuthority();
  const stored = readAuthorityRecord(JSON.parse(JSON.stringify(record)));
  assert.deepEqual(stored, record);
  const { signer, record: trust } = openAuthority(stored);
  assert.deepEqual(Object.keys(signer).sort(), [
    "publicKey",
    "sign",
    "signBytes",
  ]);
  assert.deepEqual(trust, publicPart(record));
  assert.ok(!JSON.stringify(trust).includes("PRIVATE"));
});

Deno.test("openAuthority() refuses a record that does not fit together", async (t) => {
  const { record } = createTestAuthority();
  const { record: other } = createTestAuthority();
  const rows: readonly [name: string, change: object, message: RegExp][] = [
    ["no key", { privateKey: "" }, /its key was given up/],
    ["another key", { privateKey: other.privateKey }, /not that of its cert/],
    ["another print", { fingerprint: other.fingerprint }, /another one/],
    ["no PKCS#8", {
      privateKey: record.certificate.replaceAll("CERTIFICATE", "PRIVATE KEY"),
    }, /ECDSA key on P-256/],
  ];
  for (const [name, change, message] of rows) {
    await t.step(name, () => {
      assert.throws(() => openAuthority({ ...record, ...change }), {
        name: "RangeError",
        message,
      });
    });
  }
});
