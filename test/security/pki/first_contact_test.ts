import fc from "fast-check";
import assert from "node:assert/strict";
import { verifyFirstContact } from "../../../src/security/pki/peer.ts";
import { parseOnePem } from "../../../src/security/pki/pem.ts";
import { createIdentity, createTestAuthority, NOW_MS } from "./identities.ts";
import { openssl } from "./openssl.ts";

Deno.test("verifyFirstContact() refuses invalid chains", async (t) => {
  const authority = createTestAuthority();
  const { der } = createIdentity(authority);
  const root = parseOnePem("CERTIFICATE", authority.record.certificate);
  const rows: readonly [
    name: string,
    chain: readonly Uint8Array[],
    message: RegExp,
  ][] = [
    ["nothing", [], /has sent no certificate/],
    ["the certificate alone", [der], /none of its certificates/],
    ["the authority alone", [root], /none of its certificates/],
    ["the authority as the server", [root, root], /names 0 URIs/],
    ["garbage", [new Uint8Array([1]), root], /cannot be decoded/],
    ["garbage behind it", [der, new Uint8Array([1])], /cannot be decoded/],
    ["the authority far behind", [...Array(8).fill(der), root], /none of its/],
  ];
  for (const [name, chain, message] of rows) {
    await t.step(name, () => {
      assert.throws(
        () =>
          verifyFirstContact(chain, {
            fingerprint: authority.record.fingerprint,
            nowMs: NOW_MS,
          }),
        { name: "NetError", code: "unauthenticated", message },
      );
    });
  }
});

Deno.test("verifyFirstContact() takes no certificate that only holds the authority's key", async () => {
  const authority = createTestAuthority();
  const { der } = createIdentity(authority);
  // Anyone can have a key certified that is not theirs.
  const forged = await openssl(
    "openssl x509 -in ca.pem -noout -pubkey > pub.pem" +
      " && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout evil.key -out evil.pem -subj '/O=stellar-net/OU=c1/CN=authority 1' 2>/dev/null" +
      " && openssl req -new -key evil.key -subj '/O=stellar-net/OU=c1/CN=authority 1' -out evil.csr" +
      " && printf 'basicConstraints=critical,CA:TRUE\n' > ext" +
      " && openssl x509 -req -in evil.csr -force_pubkey pub.pem -CA evil.pem -CAkey evil.key -days 2 -extfile ext 2>/dev/null",
    { "ca.pem": authority.record.certificate },
  );
  assert.throws(
    () =>
      verifyFirstContact([der, parseOnePem("CERTIFICATE", forged)], {
        fingerprint: authority.record.fingerprint,
        nowMs: NOW_MS,
      }),
    { message: /the authority's certificate is forged/ },
  );
});

Deno.test("verifyFirstContact() accepts no chain of which a byte was changed", () => {
  const authority = createTestAuthority();
  const { der } = createIdentity(authority);
  const root = parseOnePem("CERTIFICATE", authority.record.certificate);
  const { fingerprint } = authority.record;
  const checks = { fingerprint, nowMs: NOW_MS };
  assert.equal(verifyFirstContact([der, root], checks).server.name, "n1");
  fc.assert(
    fc.property(
      fc.nat(der.length + root.length - 1),
      fc.integer({ min: 1, max: 255 }),
      (at, flip) => {
        const both = new Uint8Array([...der, ...root]);
        both[at]! ^= flip;
        const chain = [both.subarray(0, der.length), both.subarray(der.length)];
        assert.throws(() => verifyFirstContact(chain, checks), {
          name: "NetError",
          code: "unauthenticated",
        });
      },
    ),
    { numRuns: 300, seed: 16 },
  );
});
