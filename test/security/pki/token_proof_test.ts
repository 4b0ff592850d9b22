import assert from "node:assert/strict";
import { createHash, createHmac, pbkdf2Sync } from "node:crypto";
import { createKey } from "../../../src/security/pki/key.ts";
import { parseOnePem } from "../../../src/security/pki/pem.ts";
import { createSigningRequest } from "../../../src/security/pki/signing_request.ts";
import { createToken, fromBase64url } from "../../../src/security/pki/token.ts";
import {
  createNonce,
  createVerifier,
  NONCE_BYTES,
  proveToken,
  readVerifier,
  scramProof,
  signingRequestDigest,
  type TokenTranscript,
  verifyScramProof,
  verifyTokenProof,
} from "../../../src/security/pki/token_proof.ts";

const FINGERPRINT = `sha256:${"5a".repeat(32)}`;

function createTranscript(
  change: Partial<TokenTranscript> = {},
): TokenTranscript {
  return {
    tokenId: "00112233aabb",
    name: "n1",
    serverNonce: new Uint8Array(NONCE_BYTES).fill(1),
    clientNonce: new Uint8Array(NONCE_BYTES).fill(2),
    requestDigest: new Uint8Array(NONCE_BYTES).fill(3),
    serverFingerprint: FINGERPRINT,
    ...change,
  };
}

Deno.test("scramProof() agrees with the example of RFC 7677, section 3", () => {
  const salted = pbkdf2Sync(
    "pencil",
    Uint8Array.fromBase64("W22ZaJ0SNY7soEsUEjb6gQ=="),
    4096,
    32,
    "sha256",
  );
  const message = new TextEncoder().encode(
    "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0," +
      "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
  );
  const proof = scramProof(salted, message);
  assert.equal(
    proof.toBase64(),
    "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
  );
  const clientKey = createHmac("sha256", salted).update("Client Key").digest();
  const storedKey = createHash("sha256").update(clientKey).digest();
  assert.ok(verifyScramProof(storedKey, { proof, message }));
});

Deno.test("verifyTokenProof() accepts a proof for its own transcript alone", async (t) => {
  const token = createToken(FINGERPRINT);
  const verifier = createVerifier(token);
  const transcript = createTranscript();
  const proof = proveToken(token, { salt: verifier.salt, transcript });
  assert.ok(verifyTokenProof(verifier, { proof, transcript }));
  const other = (byte: number) => new Uint8Array(NONCE_BYTES).fill(byte);
  const rows: readonly [name: string, change: Partial<TokenTranscript>][] = [
    ["another challenge", { serverNonce: other(9) }],
    ["another nonce of the client", { clientNonce: other(9) }],
    ["nonces swapped", { serverNonce: other(2), clientNonce: other(1) }],
    ["another signing request", { requestDigest: other(9) }],
    ["another server", { serverFingerprint: `sha256:${"5b".repeat(32)}` }],
    ["another name", { name: "n2" }],
    ["another token", { tokenId: "00112233aabc" }],
    ["a part moved into the next", { tokenId: "00112233aab", name: "bn1" }],
  ];
  for (const [name, change] of rows) {
    await t.step(name, () => {
      assert.equal(
        verifyTokenProof(verifier, {
          proof,
          transcript: createTranscript(change),
        }),
        false,
      );
    });
  }
});

Deno.test("verifyTokenProof() refuses every other proof", () => {
  const token = createToken(FINGERPRINT);
  const verifier = createVerifier(token);
  const transcript = createTranscript();
  const { salt } = verifier;
  const good = proveToken(token, { salt, transcript });
  const wrong = [
    proveToken(createToken(FINGERPRINT), { salt, transcript }),
    proveToken(token, { salt: createVerifier(token).salt, transcript }),
    ...Array.from(good, (_, at) => good.with(at, good[at]! ^ 1)),
    good.subarray(1),
    new Uint8Array([...good, 0]),
    new Uint8Array(),
    new Uint8Array(32),
  ];
  for (const proof of wrong) {
    assert.equal(verifyTokenProof(verifier, { proof, transcript }), false);
  }
});

Deno.test("what is stored makes no proof, and holds nothing of the secret", () => {
  const token = createToken(FINGERPRINT);
  const verifier = createVerifier(token);
  const storedKey = fromBase64url(verifier.storedKey);
  const transcript = createTranscript();
  assert.ok(!JSON.stringify(verifier).includes(token.secret.toHex()));
  assert.notDeepEqual(storedKey, token.secret);
  // The stored key in the place of the secret, and of what is derived from it.
  const stolen = { ...token, secret: storedKey };
  const attempts = [
    proveToken(stolen, { salt: verifier.salt, transcript }),
    storedKey,
    scramProof(storedKey, new Uint8Array()),
  ];
  for (const proof of attempts) {
    assert.equal(verifyTokenProof(verifier, { proof, transcript }), false);
  }
});

Deno.test("createVerifier() salts: one token is stored in another way each time", () => {
  const token = createToken(FINGERPRINT);
  const [a, b] = [createVerifier(token), createVerifier(token)];
  assert.notEqual(a.salt, b.salt);
  assert.notEqual(a.storedKey, b.storedKey);
  assert.deepEqual(readVerifier(a), a);
});

Deno.test("proveToken() refuses nonces that are too short", async (t) => {
  const token = createToken(FINGERPRINT);
  const { salt } = createVerifier(token);
  const short = new Uint8Array(NONCE_BYTES - 1);
  const rows: readonly [
    name: string,
    salt: string,
    change: Partial<TokenTranscript>,
    message: RegExp,
  ][] = [
    ["no salt", "", {}, /salt of a token is not valid: it has 0 bytes/],
    ["a salt that is no base64url", "*", {}, /not base64url/],
    ["a short nonce", salt, { serverNonce: short }, /has 31 bytes, not 32/],
    ["a short nonce of its own", salt, { clientNonce: short }, /31 bytes/],
    ["a short digest", salt, { requestDigest: short }, /31 bytes/],
    ["no fingerprint", salt, { serverFingerprint: "" }, /not a fingerprint/],
  ];
  for (const [name, salt, change, message] of rows) {
    await t.step(name, () => {
      const transcript = createTranscript(change);
      assert.throws(() => proveToken(token, { salt, transcript }), {
        name: "RangeError",
        message,
      });
    });
  }
});

Deno.test("createNonce() never repeats", () => {
  const nonces = Array.from({ length: 100 }, () => createNonce().toHex());
  assert.equal(new Set(nonces).size, 100);
});

Deno.test("signingRequestDigest() is the SHA-256 of the DER", () => {
  const request = createSigningRequest(createKey());
  const expected = createHash("sha256").update(
    parseOnePem("CERTIFICATE REQUEST", request),
  );
  assert.deepEqual(
    signingRequestDigest(request.replaceAll("\n", "\r\n")),
    new Uint8Array(expected.digest()),
  );
});
