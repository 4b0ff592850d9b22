import fc from "fast-check";
import assert from "node:assert/strict";
import { createKey } from "../../../src/security/pki/key.ts";
import { formatPem, parseOnePem } from "../../../src/security/pki/pem.ts";
import {
  createSigningRequest,
  readSigningRequest,
} from "../../../src/security/pki/signing_request.ts";
import { openssl } from "./openssl.ts";

const LABEL = "CERTIFICATE REQUEST";

Deno.test("createSigningRequest() makes what openssl verifies, without a name", async () => {
  const request = createSigningRequest(createKey());
  const text = await openssl(
    "openssl req -in n.csr -verify -noout -text 2>&1",
    { "n.csr": request },
  );
  assert.match(text, /self-signature verify OK/);
  assert.match(text, /Subject: *\n/);
  assert.match(text, /ASN1 OID: prime256v1/);
});

Deno.test("createSigningRequest() takes a key that openssl made", async () => {
  const key = await openssl(
    "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256",
  );
  const { keyFingerprint } = readSigningRequest(
    createSigningRequest(key),
  );
  const printed = await openssl(
    "openssl pkey -in key.pem -pubout -outform DER | sha256sum",
    { "key.pem": key },
  );
  assert.equal(keyFingerprint, `sha256:${printed.split(" ")[0]}`);
});

Deno.test("createSigningRequest() refuses other keys, and quotes nothing of them", async () => {
  const key = await openssl(
    "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384",
  );
  assert.throws(() => createSigningRequest(key), {
    name: "RangeError",
    message:
      "The private key is not valid: it has to be an ECDSA key on P-256, as PKCS#8 in PEM",
  });
});

Deno.test("readSigningRequest() reads what openssl made, and leaves out what it asks for", async () => {
  const request = await openssl(
    "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -sha256" +
      ' -keyout k -subj "/CN=admin/OU=operator" -addext "subjectAltName=DNS:evil" 2>/dev/null',
  );
  assert.deepEqual(
    Object.keys(readSigningRequest(request)).sort(),
    ["keyFingerprint", "publicKey"],
  );
});

Deno.test("readSigningRequest() refuses other keys and hashes", async (t) => {
  const rows: readonly [options: string, message: RegExp][] = [
    ["-newkey rsa:2048", /has to be an ECDSA key on P-256/],
    ["-newkey ec -pkeyopt ec_paramgen_curve:secp384r1", /ECDSA key on P-256/],
    ["-newkey ed25519", /has to be an ECDSA key on P-256/],
    [
      "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -sha512",
      /signed with ECDSA and SHA-256/,
    ],
    [
      "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -pkeyopt ec_param_enc:explicit",
      /ECDSA key on P-256/,
    ],
  ];
  for (const [options, message] of rows) {
    await t.step(options, async () => {
      const request = await openssl(
        `openssl req -new ${options} -nodes -keyout k -subj /CN=x 2>/dev/null`,
      );
      assert.throws(() => readSigningRequest(request), {
        name: "RangeError",
        message,
      });
    });
  }
});

Deno.test("readSigningRequest() refuses a key that the sender does not have", async () => {
  const [mine, theirs] = await Promise.all(
    [createKey(), createKey()].map(async (key) =>
      parseOnePem(LABEL, createSigningRequest(await key))
    ),
  );
  // The public key is 65 bytes from 0x04 on, in the same place of both.
  const at = mine!.findIndex((byte, i) => byte === 0x00 && mine![i + 1] === 4);
  const forged = new Uint8Array(mine!);
  forged.set(theirs!.subarray(at + 1, at + 66), at + 1);
  assert.notDeepEqual(forged, mine);
  assert.throws(() => readSigningRequest(formatPem(LABEL, forged)), {
    name: "RangeError",
    message: /not signed with the key that it is for/,
  });
});

Deno.test("readSigningRequest() accepts no request of which a byte was changed", () => {
  const der = parseOnePem(LABEL, createSigningRequest(createKey()));
  fc.assert(
    fc.property(
      fc.nat(der.length - 1),
      fc.integer({ min: 1, max: 255 }),
      (at, flip) => {
        const mutated = new Uint8Array(der);
        mutated[at]! ^= flip;
        assert.throws(
          () => readSigningRequest(formatPem(LABEL, mutated)),
          { name: "RangeError", message: /is not valid/ },
        );
      },
    ),
    { numRuns: 1000, seed: 3 },
  );
});

Deno.test("readSigningRequest() refuses garbage", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 1, maxLength: 400 }),
      (der) => {
        assert.throws(() => readSigningRequest(formatPem(LABEL, der)), {
          name: "RangeError",
          message: /is not valid/,
        });
      },
    ),
    { numRuns: 400, seed: 4 },
  );
});
