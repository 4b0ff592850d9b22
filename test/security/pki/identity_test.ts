import fc from "fast-check";
import assert from "node:assert/strict";
import { parseAddress } from "../../../src/net/address.ts";
import { X509Certificate } from "node:crypto";
import { readIdentity } from "../../../src/security/pki/certificate_identity.ts";
import {
  formatIdentityUri,
  parseIdentityUri,
  parseRole,
  ROLES,
} from "../../../src/security/pki/identity.ts";
import {
  createIdentity,
  createTestAuthority,
  HOUR_MS,
  NOW_MS,
} from "./identities.ts";
import { openssl, selfSigned } from "./openssl.ts";

const nodeName = fc.stringMatching(
  /^[A-Za-z0-9][A-Za-z0-9._-]{0,60}[A-Za-z0-9]$/,
);
const clusterId = fc.stringMatching(/^[A-Za-z0-9-]{1,64}$/);

Deno.test("parseIdentityUri() reads back what formatIdentityUri() wrote", () => {
  fc.assert(
    fc.property(
      fc.record({
        clusterId,
        role: fc.constantFrom(...ROLES),
        name: nodeName,
      }, { noNullPrototype: true }),
      (identity) => {
        const uri = formatIdentityUri(identity);
        assert.deepEqual(parseIdentityUri(uri), identity);
        assert.equal(new URL(uri).protocol, "stellar-net:");
      },
    ),
    { numRuns: 500, seed: 6 },
  );
});

Deno.test("parseIdentityUri() accepts nothing that formatIdentityUri() does not write", () => {
  const near = fc.tuple(
    fc.constantFrom("stellar-net://", "stellar-net:/", "Stellar-net://"),
    fc.array(
      fc.constantFrom("c1", "node", "operator", "n1", "", "..", "%2e", "n 1"),
      { minLength: 2, maxLength: 4 },
    ),
  ).map(([scheme, parts]) => scheme + parts.join("/"));
  let accepted = 0;
  for (const uri of fc.sample(near, { numRuns: 3000, seed: 7 })) {
    let identity;
    try {
      identity = parseIdentityUri(uri);
    } catch (error) {
      assert.ok(error instanceof RangeError);
      continue;
    }
    assert.equal(formatIdentityUri(identity), uri);
    accepted += 1;
  }
  assert.ok(accepted > 20, `only ${accepted} were identities`);
});

Deno.test("parseRole() knows three roles", () => {
  assert.deepEqual(ROLES.map(parseRole), ["node", "operator", "readonly"]);
  for (const text of ["", "Node", "admin", "constructor", "node "]) {
    assert.throws(() => parseRole(text), { name: "RangeError" });
  }
});

Deno.test("readIdentity() reads a certificate in PEM and in DER", () => {
  const authority = createTestAuthority({ generation: 7 });
  const addresses = ["198.18.0.12", "fd00::12"].map(parseAddress);
  const { der, chain, record } = createIdentity(authority, {
    ...{ role: "node", name: "alice", addresses },
  });
  const identity = readIdentity(der);
  const pem = chain.slice(0, chain.indexOf("-----END") + 26);
  assert.deepEqual(readIdentity(pem), identity);
  const known = new X509Certificate(der);
  assert.deepEqual(identity, {
    clusterId: "c1",
    role: "node",
    name: "alice",
    serial: known.serialNumber.toLowerCase(),
    fingerprint: `sha256:${
      known.fingerprint256.replaceAll(":", "").toLowerCase()
    }`,
    issuedAtMs: NOW_MS,
    notBeforeMs: Date.parse(known.validFrom),
    notAfterMs: NOW_MS + 24 * HOUR_MS,
    generation: 7,
    addresses,
  });
  assert.equal(identity.serial, record.serial);
});

Deno.test("readIdentity() reads the certificate of an operator's own authority", async () => {
  const pem = await selfSigned(
    "subjectAltName=DNS:n1,URI:https://example/x,URI:stellar-net://c9/node/n1",
  );
  const { clusterId, role, name, generation, issuedAtMs, notBeforeMs } =
    readIdentity(pem);
  assert.deepEqual({ clusterId, role, name, generation }, {
    clusterId: "c9",
    role: "node",
    name: "n1",
    generation: 0,
  });
  assert.equal(issuedAtMs, notBeforeMs);
});

Deno.test("readIdentity() takes no name from anywhere but one URI", async (t) => {
  const rows: readonly [names: string, message: RegExp][] = [
    ["subjectAltName=DNS:stellar-net://c1/node/n1", /names 0 URIs/],
    ["subjectAltName=email:stellar-net://c1/node/n1", /names 0 URIs/],
    ["keyUsage=digitalSignature", /names 0 URIs/],
    [
      "subjectAltName=URI:stellar-net://c1/node/n1,URI:stellar-net://c1/operator/x",
      /names 2 URIs/,
    ],
    ["subjectAltName=URI:stellar-net://c1/root/n1", /"root" is not a role/],
    ["subjectAltName=URI:stellar-net://c1/node/", /is no identity/],
    ["subjectAltName=URI:stellar-net://c1/node/a/b", /is no identity/],
    ["subjectAltName=URI:stellar-net://c1/node/a%2fb", /is not valid/],
    ["2.5.29.17=ASN1:UTF8String:stellar-net", /names 0 URIs/],
    ["2.5.29.17=DER:30:05:86:08", /names cannot be decoded|cannot be decoded/],
  ];
  for (const [names, message] of rows) {
    await t.step(names, async () => {
      const pem = await selfSigned(names);
      assert.throws(() => readIdentity(pem), {
        name: "NetError",
        code: "unauthenticated",
        message,
      });
    });
  }
});

Deno.test("readIdentity() refuses what is no certificate", async (t) => {
  const authority = createTestAuthority();
  const { der, request } = createIdentity(authority);
  const rows: readonly [name: string, input: string | Uint8Array][] = [
    ["nothing", new Uint8Array()],
    ["text", "n1"],
    ["a request", request],
    ["an authority", authority.record.certificate],
    ["something behind it", new Uint8Array([...der, 0])],
    ["cut off", der.subarray(0, -1)],
    ["too long", new Uint8Array(20_000).fill(0x30)],
    ["an ASN.1 of another kind", new Uint8Array([0x30, 3, 2, 1, 1])],
    ["nested without end", new Uint8Array(10_000).fill(0x30)],
    [
      "indefinite without end",
      new Uint8Array(10_000).map((_, i) => i % 2 ? 0x80 : 0x30),
    ],
  ];
  for (const [name, input] of rows) {
    await t.step(name, () => {
      assert.throws(() => readIdentity(input), {
        name: "NetError",
        code: "unauthenticated",
        message: /^Cannot tell whose certificate it is: /,
      });
    });
  }
});

Deno.test("readIdentity() survives certificates of which bytes were changed", async () => {
  const { der } = createIdentity(await createTestAuthority());
  let refused = 0;
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(der.length - 1), fc.nat(255)), {
        minLength: 1,
        maxLength: 6,
      }),
      (changes) => {
        const mutated = new Uint8Array(der);
        for (const [at, byte] of changes) mutated[at] = byte;
        try {
          const { name } = readIdentity(mutated);
          assert.match(name, /^[A-Za-z0-9._-]+$/);
        } catch (error) {
          assert.equal((error as Error).name, "NetError");
          refused += 1;
        }
      },
    ),
    { numRuns: 600, seed: 8 },
  );
  assert.ok(refused > 50, `only ${refused} were refused`);
});

Deno.test("readIdentity() reads a certificate that openssl signed with an authority's name for none of ours", async () => {
  const pem = await openssl(
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout k -days 2" +
      ' -subj "/O=other/CN=authority 1" -addext subjectAltName=URI:stellar-net://c1/node/n1 2>/dev/null',
  );
  assert.equal(readIdentity(pem).generation, 0);
});
