import fc from "fast-check";
import assert from "node:assert/strict";
import {
  formatPem,
  parseOnePem,
  parsePem,
} from "../../../src/security/pki/pem.ts";

const GOOD = formatPem("CERTIFICATE", new Uint8Array([1, 2, 3]));

Deno.test("formatPem() writes lines of 64 characters", () => {
  assert.equal(
    formatPem("PRIVATE KEY", new Uint8Array(50)),
    `-----BEGIN PRIVATE KEY-----\n${
      "A".repeat(64)
    }\nAAA=\n-----END PRIVATE KEY-----\n`,
  );
});

Deno.test("parsePem() reads back what formatPem() wrote, text around it left out", () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), {
        minLength: 1,
        maxLength: 4,
      }),
      (blocks) => {
        const text = blocks.map((der) => formatPem("CERTIFICATE", der))
          .join("subject=CN = n1\n");
        assert.deepEqual(parsePem("CERTIFICATE", text), blocks);
        assert.deepEqual(
          parsePem("CERTIFICATE", text.replaceAll("\n", "\r\n")),
          blocks,
        );
      },
    ),
    { numRuns: 200, seed: 1 },
  );
});

Deno.test("parseOnePem() refuses what is not one whole block", async (t) => {
  const rows: readonly [name: string, text: string, message: RegExp][] = [
    ["empty", "", /has no "-----BEGIN CERTIFICATE-----"/],
    ["no PEM", "abc", /has no "-----BEGIN/],
    ["a key", formatPem("PRIVATE KEY", new Uint8Array(4)), /holds a "PRIVATE/],
    ["cut off", GOOD.slice(0, -10), /cut off/],
    ["another end", GOOD.replace("END C", "END D"), /cut off/],
    ["no base64", GOOD.replace("AQID", "AQI*"), /cut off/],
    ["bad padding", GOOD.replace("AQID", "AQI"), /not base64/],
    ["bits left over", GOOD.replace("AQID", "AR=="), /not base64/],
    ["nothing in it", GOOD.replace("AQID", ""), /empty/],
    ["two", GOOD + GOOD, /2 of them/],
    ["too long", GOOD + " ".repeat(1 << 20), /longer than/],
  ];
  for (const [name, text, message] of rows) {
    await t.step(name, () => {
      assert.throws(() => parseOnePem("CERTIFICATE", text), {
        name: "RangeError",
        message,
      });
    });
  }
});

Deno.test("parsePem() quotes nothing of a key that is damaged", () => {
  const secret = "c2VjcmV0c2VjcmV0";
  const text =
    `-----BEGIN PRIVATE KEY-----\n${secret}!\n-----END PRIVATE KEY-----`;
  assert.throws(() => parsePem("PRIVATE KEY", text), (error: Error) => {
    assert.ok(!error.message.includes(secret));
    return true;
  });
});

Deno.test("parsePem() takes no longer than its text for hostile ones", () => {
  const texts = [
    "-----BEGIN CERTIFICATE-----\n".repeat(20_000),
    "-----BEGIN CERTIFICATE-----\n" + "A".repeat(900_000),
    "-----BEGIN ".repeat(90_000),
  ];
  for (const text of texts) {
    assert.throws(() => parsePem("CERTIFICATE", text), RangeError);
  }
});
