import fc from "fast-check";
import assert from "node:assert/strict";
import { parseAddress } from "../../../src/net/address.ts";
import {
  type CertificateTerms,
  isHostName,
} from "../../../src/security/pki/certificate.ts";
import { renewalTimeMs } from "../../../src/security/pki/profile.ts";
import { readIdentity } from "../../../src/security/pki/certificate_identity.ts";
import {
  createIdentity,
  createTestAuthority,
  HOUR_MS,
  NOW_MS,
} from "./identities.ts";
import { openssl, shell } from "./openssl.ts";

Deno.test("issueCertificate() writes what was decided", async () => {
  const authority = createTestAuthority();
  const { chain, record } = createIdentity(authority, {
    name: "node-1",
    addresses: ["fd00::1", "198.18.0.11", "198.18.0.11"].map(parseAddress),
    dnsNames: ["registry.example", "node-1"],
  });
  const text = await openssl("openssl x509 -in n.pem -noout -text", {
    "n.pem": chain,
  });
  for (
    const part of [
      "Subject: O = stellar-net, OU = node, CN = node-1",
      "Issuer: O = stellar-net, OU = c1, CN = authority 1",
      "Not Before: Dec 31 23:55:00 2025 GMT",
      "Not After : Jan  2 00:00:00 2026 GMT",
      "X509v3 Basic Constraints: critical\n                CA:FALSE",
      "X509v3 Key Usage: critical\n                Digital Signature\n",
      "TLS Web Server Authentication, TLS Web Client Authentication",
      "URI:stellar-net://c1/node/node-1, DNS:node-1, DNS:registry.example, " +
      "IP Address:198.18.0.11, IP Address:FD00:0:0:0:0:0:0:1",
    ]
  ) {
    assert.ok(text.includes(part), `${part} is not in ${text}`);
  }
  assert.deepEqual(record, {
    serial: readIdentity(chain.split(/(?<=END CERTIFICATE-----\n)/)[0]!).serial,
    role: "node",
    name: "node-1",
    keyFingerprint: record.keyFingerprint,
    generation: 1,
    issuedAtMs: NOW_MS,
    notAfterMs: NOW_MS + 24 * HOUR_MS,
  });
});

Deno.test("issueCertificate() certifies the key of the request", async () => {
  const { key, chain, record } = createIdentity(
    createTestAuthority(),
  );
  const files = { "k.pem": key, "n.pem": chain };
  const [ofKey, ofCertificate] = await Promise.all([
    openssl("openssl pkey -in k.pem -pubout -outform DER | sha256sum", files),
    openssl(
      "openssl x509 -in n.pem -noout -pubkey | openssl pkey -pubin -outform DER | sha256sum",
      files,
    ),
  ]);
  assert.equal(ofKey, ofCertificate);
  assert.equal(record.keyFingerprint, `sha256:${ofKey.split(" ")[0]}`);
});

Deno.test("openssl verifies certificates for the uses of their role, and no others", async (t) => {
  const authority = createTestAuthority();
  const foreign = createTestAuthority();
  const rows: readonly [
    role: CertificateTerms["role"],
    purpose: string,
    good: boolean,
  ][] = [
    ["node", "sslserver", true],
    ["node", "sslclient", true],
    ["operator", "sslclient", true],
    ["operator", "sslserver", false],
    ["readonly", "sslclient", true],
    ["readonly", "sslserver", false],
  ];
  for (const [role, purpose, good] of rows) {
    await t.step(`${role} as ${purpose}`, async () => {
      const { chain } = createIdentity(authority, { role });
      const verify = async (ca: string) =>
        await shell(
          `openssl verify -x509_strict -attime ${
            NOW_MS / 1000
          } -purpose ${purpose} -CAfile ca.pem n.pem`,
          { "ca.pem": ca, "n.pem": chain },
        );
      const { code, stderr } = await verify(authority.record.certificate);
      assert.equal(code === 0, good, stderr);
      const other = await verify(foreign.record.certificate);
      assert.notEqual(other.code, 0);
    });
  }
});

Deno.test("a certificate signs no other", async () => {
  const authority = createTestAuthority();
  const { chain, key, der } = createIdentity(authority);
  const { code, stderr } = await shell(
    "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout k -subj /CN=x -out x.csr 2>/dev/null" +
      " && openssl x509 -req -in x.csr -CA n.pem -CAkey n.key -days 1 -out x.pem 2>/dev/null" +
      " && openssl verify -no_check_time -CAfile ca.pem -untrusted n.pem x.pem",
    {
      "n.pem": chain,
      "n.key": key,
      "ca.pem": authority.record.certificate,
    },
  );
  assert.ok(der.length > 0);
  assert.notEqual(code, 0);
  assert.match(stderr, /invalid CA certificate|path length|not allowed/);
});

Deno.test("issueCertificate() names what cannot be in a name of TLS in the URI alone", async (t) => {
  const authority = createTestAuthority();
  const rows: readonly [name: string, commonName: boolean, dns: boolean][] = [
    ["a", true, true],
    ["A.b-c.d", true, true],
    ["localhost", true, false],
    ["a.localhost", true, false],
    ["a_b", true, false],
    ["a..b", true, false],
    ["10.0.0.1", true, false],
    ["x".repeat(64), true, false],
    [`${"x".repeat(40)}.${"y".repeat(40)}`, false, true],
    ["x".repeat(253), false, false],
  ];
  for (const [name, commonName, dns] of rows) {
    await t.step(name.slice(0, 20), async () => {
      const { chain, der } = createIdentity(authority, { name });
      const text = await openssl(
        "openssl x509 -in n.pem -noout -text -nameopt sep_comma_plus",
        { "n.pem": chain },
      );
      assert.equal(text.includes(`CN=${name}`), commonName);
      assert.equal(text.includes(`DNS:${name}`), dns);
      assert.equal(readIdentity(der).name, name);
    });
  }
});

Deno.test("issueCertificate() refuses what it must not sign", async (t) => {
  const authority = createTestAuthority();
  const address = parseAddress("198.18.0.1");
  const rows: readonly [terms: Partial<CertificateTerms>, message: RegExp][] = [
    [{ name: "a/b" }, /"a\/b" is not valid/],
    [{ name: "" }, /"" is not valid/],
    [{ role: "operator", addresses: [address] }, /only nodes are servers/],
    [{ role: "readonly", dnsNames: ["a"] }, /only nodes are servers/],
    [{ dnsNames: ["*.example"] }, /"\*.example" is not a host name/],
    [{ dnsNames: ["1.2.3.4"] }, /is not a host name/],
    [{ dnsNames: Array(65).fill("a") }, /for 66 addresses .* 64 are the most/],
    [{ nowMs: NOW_MS + 20 * 366 * 24 * HOUR_MS }, /authority 1 is trusted/],
    [{ lifetimeMs: 0 }, /Cannot sign a certificate/],
  ];
  for (const [terms, message] of rows) {
    await t.step(message.source, () => {
      assert.throws(() => createIdentity(authority, terms), {
        name: "RangeError",
        message,
      });
    });
  }
});

Deno.test("issueCertificate() never outlives the authority's trust", () => {
  const { record, authority } = createTestAuthority();
  const trustedUntilMs = NOW_MS + HOUR_MS;
  const { record: issued } = createIdentity({
    record,
    authority: { ...authority, record: { ...record, trustedUntilMs } },
  });
  assert.equal(issued.notAfterMs, trustedUntilMs);
});

Deno.test("renewalTimeMs() lies between 56 and 67 hundredths of the life", () => {
  const life = { issuedAtMs: NOW_MS, notAfterMs: NOW_MS + 24 * HOUR_MS };
  assert.equal(renewalTimeMs(life, 0), NOW_MS + 16 * HOUR_MS);
  assert.equal(renewalTimeMs(life, 1), NOW_MS + 13.6 * HOUR_MS);
  fc.assert(
    fc.property(fc.double({ min: 0, max: 1, noNaN: true }), (jitter) => {
      const share = (renewalTimeMs(life, jitter) - NOW_MS) / (24 * HOUR_MS);
      assert.ok(share > 0.56 && share < 0.67);
    }),
    { numRuns: 200, seed: 5 },
  );
});

Deno.test("isHostName() knows host names", () => {
  const good = ["a", "a.b", "n-1.example", "1a", "1.a", "x".repeat(63)];
  const bad = ["", ".", "a.", "-a", "a-", "a_b", "a..b", "1.2", "*.a", "a b"]
    .concat("x".repeat(64), "a\n", "é");
  assert.deepEqual(good.filter((name) => !isHostName(name)), []);
  assert.deepEqual(bad.filter((name) => isHostName(name)), []);
});
