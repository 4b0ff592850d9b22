import fc from "fast-check";
import assert from "node:assert/strict";
import {
  base64url,
  createToken,
  formatToken,
  fromBase64url,
  type JoinToken,
  parseToken,
  parseTokenId,
} from "../../../src/security/pki/token.ts";

const FINGERPRINT = `sha256:${"5a".repeat(32)}`;
const BASE64URL =
  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

const anyToken: fc.Arbitrary<JoinToken> = fc.tuple(
  fc.uint8Array({ minLength: 32, maxLength: 32 }),
  fc.uint8Array({ minLength: 6, maxLength: 6 }),
  fc.uint8Array({ minLength: 32, maxLength: 32 }),
).map(([digest, id, secret]) => ({
  fingerprint: `sha256:${digest.toHex()}`,
  id: id.toHex(),
  secret: new Uint8Array(secret),
}));

Deno.test("formatToken() prints this token since version 1", () => {
  const token = {
    fingerprint: FINGERPRINT,
    id: "00112233aabb",
    secret: new Uint8Array(32).fill(7),
  };
  assert.equal(
    formatToken(token),
    "stn1.WlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlo.00112233aabb.BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc.TwjPlb",
  );
  assert.deepEqual(parseToken(formatToken(token)), token);
});

Deno.test("createToken() makes another secret and id each time, of one word", () => {
  const tokens = Array.from({ length: 50 }, () => createToken(FINGERPRINT));
  assert.equal(new Set(tokens.map(({ id }) => id)).size, 50);
  assert.equal(new Set(tokens.map(({ secret }) => secret.toHex())).size, 50);
  for (const token of tokens) {
    assert.match(formatToken(token), /^stn1\.[A-Za-z0-9_.-]{107}$/);
    assert.deepEqual(parseToken(`  ${formatToken(token)}\n`), token);
  }
  assert.throws(() => createToken("sha256:12"), { name: "RangeError" });
});

Deno.test("parseToken() reads back what formatToken() wrote", () => {
  fc.assert(
    fc.property(anyToken, (token) => {
      assert.deepEqual(parseToken(formatToken(token)), token);
    }),
    { numRuns: 500, seed: 10 },
  );
});

Deno.test("parseToken() tells what is wrong with a text, and quotes nothing of it", async (t) => {
  const good = formatToken(createToken(FINGERPRINT));
  const rows: readonly [name: string, text: string, message: RegExp][] = [
    ["empty", " ", /it is empty/],
    ["something else", "abc", /has to begin with "stn1\."/],
    ["without its beginning", good.slice(2), /has to begin with "stn1\."/],
    ["upper case", good.toUpperCase(), /has to begin with "stn1\."/],
    ["version 2", good.replace("stn1", "stn2"), /of version 2/],
    ["cut off", good.slice(0, -1), /mistyped or cut off/],
    ["cut in the middle", good.slice(0, 60), /mistyped or cut off/],
    ["something behind it", `${good}x`, /mistyped or cut off/],
    ["twice", `${good} ${good}`, /has 225 characters/],
    ["a space in it", `${good.slice(0, 60)} ${good.slice(60)}`, /mistyped/],
    [
      "a line break in it",
      `${good.slice(0, 60)}\n${good.slice(60)}`,
      /mistyped/,
    ],
    ["very long", good.padEnd(1e6, "x"), /has 1000000 characters/],
  ];
  for (const [name, text, message] of rows) {
    await t.step(name, () => {
      assert.throws(() => parseToken(text), (error: Error) => {
        assert.equal(error.name, "RangeError");
        assert.match(error.message, message);
        const secret = good.split(".")[3]!;
        assert.ok(!error.message.includes(secret.slice(0, 8)));
        return true;
      });
    });
  }
});

Deno.test("parseToken() finds every typing error of one character, and two that were swapped", () => {
  const good = formatToken(createToken(FINGERPRINT));
  for (let at = 0; at < good.length; at++) {
    const letter = BASE64URL[(BASE64URL.indexOf(good[at]!) + 1) % 64]!;
    const typos = [
      good.slice(0, at) + letter + good.slice(at + 1),
      good.slice(0, at) + good.slice(at + 1),
      good.slice(0, at) + letter + good.slice(at),
      good.slice(0, at) + good.slice(at, at + 2).split("").reverse().join("") +
      good.slice(at + 2),
    ].filter((typo) => typo !== good);
    assert.ok(typos.length >= 3);
    for (const typo of typos) {
      assert.throws(() => parseToken(typo), { name: "RangeError" });
    }
  }
});

Deno.test("parseToken() accepts no text but those that formatToken() writes", () => {
  const text = fc.oneof(
    fc.string({ maxLength: 150 }),
    fc.string({ unit: fc.constantFrom(...BASE64URL, "."), maxLength: 120 })
      .map((rest) => `stn1.${rest}`),
    fc.tuple(anyToken, fc.string({ maxLength: 3 }))
      .map(([token, more]) => formatToken(token) + more),
  );
  let accepted = 0;
  for (const candidate of fc.sample(text, { numRuns: 3000, seed: 11 })) {
    let token;
    try {
      token = parseToken(candidate);
    } catch (error) {
      assert.ok(error instanceof RangeError);
      continue;
    }
    assert.equal(formatToken(token), candidate.trim());
    accepted += 1;
  }
  assert.ok(accepted > 100, `only ${accepted} were tokens`);
});

Deno.test("parseTokenId() shows a bad id, and no token that was given for one", () => {
  const token = formatToken(createToken(FINGERPRINT));
  assert.equal(parseTokenId("00112233aabb"), "00112233aabb");
  assert.throws(() => parseTokenId("x\u001b"), {
    message: /^"x\\u001b" is not the id of a token/,
  });
  assert.throws(() => parseTokenId(token), {
    message: /^What was given is not the id of a token/,
  });
});

Deno.test("fromBase64url() reads only the one form of some bytes", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      assert.deepEqual(fromBase64url(base64url(bytes)), new Uint8Array(bytes));
    }),
    { numRuns: 200, seed: 12 },
  );
  for (const text of ["A", "AB", "AA==", "+w", "/w", "A A", "AAA\n", "é"]) {
    assert.throws(() => fromBase64url(text), { name: "RangeError" });
  }
});
